"""The control room in the browser: ``mien studio``. Needs the extra ``webrtc``."""
