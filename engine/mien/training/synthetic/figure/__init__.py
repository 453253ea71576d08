"""One person drawn: anatomy, skin, hair, light and camera."""
