"""What a face does: expression, gaze and head motion over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

FPS = 30


class Score:
    """A take's motion, frame by frame at 30 frames a second.

    Attributes:
        units: names of the face units.
        strengths: (n, U) float32, 0..1.
        angles_deg: (n, 3) float32: yaw, pitch, roll.
    """

    def __init__(self, units: list[str], frames: int, random: np.random.Generator) -> None:
        self.units = units
        self.strengths: F32 = np.zeros((frames, len(units)), np.float32)
        self._frames = frames
        self._random = random
        self._talk()
        self._emote()
        self._blink()
        self.angles_deg = self._move_head()
        self._look(self.angles_deg[:, 0])
        np.clip(self.strengths, 0, 1, out=self.strengths)

    def rest_until(self, frame: int, over: int) -> None:
        """Keeps the face at rest before ``frame``; expression fades in over ``over`` frames."""
        fade = np.clip((np.arange(self._frames) - frame) / over, 0, 1).astype(np.float32)
        keep = np.array([name.startswith("eyeLook") for name in self.units])
        self.strengths[:, ~keep] *= fade[:, None]

    def _add(self, unit: str, strength: F32) -> None:
        for name in (unit,) if unit in self.units else (unit + "Left", unit + "Right"):
            self.strengths[:, self.units.index(name)] += strength

    def _noise(self, period: float, amplitude: float = 1.0) -> F32:
        """(n,) smooth noise that turns about once in ``period`` frames."""
        knots = self._random.standard_normal(int(self._frames / period) + 4)
        where = np.arange(self._frames) / period + 1
        index = where.astype(int)
        part = where - index
        part = part * part * (3 - 2 * part)
        smooth = amplitude * (knots[index] * (1 - part) + knots[index + 1] * part)
        return np.asarray(smooth, np.float32)

    def _talk(self) -> None:
        time = np.arange(self._frames) / FPS
        speaking = np.clip((self._noise(22) + 0.3) / 0.8, 0, 1)
        beat = np.clip(0.5 + 0.6 * np.sin(2 * np.pi * (4.1 * time + self._noise(20, 0.25))), 0, 1)
        jaw = speaking * beat * np.clip(0.7 + self._noise(7, 0.35), 0.1, 1.3)
        self._add("jawOpen", 0.5 * jaw)
        self._add("mouthFunnel", np.clip(self._noise(6, 0.35), 0, 0.7) * speaking)
        self._add("mouthPucker", np.clip(self._noise(8, 0.3), 0, 0.6) * speaking)
        self._add("mouthLowerDown", np.clip(0.35 * jaw + self._noise(6, 0.1), 0, 0.6))
        self._add("mouthUpperUp", np.clip(0.2 * jaw, 0, 0.4))
        self._add("mouthStretch", np.clip(self._noise(9, 0.25), 0, 0.5) * speaking)
        self._add("mouthPress", np.clip(self._noise(15, 0.3) - 0.2, 0, 0.5) * (1 - speaking))

    def _emote(self) -> None:
        smile = np.clip((self._noise(50) + 0.15) / 0.8, 0, 1)
        self._add("mouthSmile", 0.65 * smile)
        self._add("cheekSquint", 0.4 * smile)
        self._add("eyeSquint", 0.25 * smile)
        self._add("mouthFrown", np.clip(self._noise(45, 0.5) - 0.4, 0, 0.6) * (1 - smile))
        self._add("noseSneer", np.clip(self._noise(40, 0.4) - 0.4, 0, 0.5))
        self._add("eyeWide", np.clip(self._noise(35, 0.5) - 0.35, 0, 0.7))
        self._add("browInnerUp", np.clip(self._noise(25, 0.45), 0, 0.9))
        self._add("browOuterUp", np.clip(self._noise(30, 0.4), 0, 0.8))
        self._add("browDown", np.clip(self._noise(35, 0.35), 0, 0.6))

    def _blink(self) -> None:
        lids = np.zeros(self._frames, np.float32)
        frame = int(self._random.integers(5, 40))
        while frame < self._frames - 6:
            # About 0.2 s: fast down, slower up; one in four is held.
            held = int(self._random.integers(2, 8)) if self._random.random() < 0.25 else 0
            shape = [0.45, *[1.0] * (2 + held), 0.7, 0.35, 0.1][: self._frames - frame]
            lids[frame : frame + len(shape)] = shape
            frame += int(self._random.integers(30, 90))
        self._add("eyeBlink", lids)

    def _move_head(self) -> F32:
        time = np.arange(self._frames) / FPS
        reach, phase = self._random.uniform(5, 30), self._random.random()
        yaw = self._random.normal(0, 9) + reach * np.sin(2 * np.pi * (time / 5.2 + phase))
        pitch = self._random.normal(0, 6) + 5 * np.sin(2 * np.pi * time / 2.9)
        roll = self._random.normal(0, 6) + self._noise(40, 4)
        angles = np.stack([yaw + self._noise(30, 5), pitch + self._noise(32, 4), roll], axis=1)
        return np.asarray(np.clip(angles, -48, 48), np.float32)

    def _look(self, yaw_deg: F32) -> None:
        across = np.clip((-yaw_deg * 0.35 + self._noise(18, 13)) / 30, -1, 1) * 0.9
        down = np.clip(self._noise(25, 0.3), -0.7, 0.7)
        left, right = np.clip(across, 0, 1), np.clip(-across, 0, 1)
        for unit, strength in (
            ("eyeLookOutLeft", left), ("eyeLookInRight", left),
            ("eyeLookInLeft", right), ("eyeLookOutRight", right),
            ("eyeLookDown", np.clip(down, 0, 1)), ("eyeLookUp", np.clip(-down, 0, 1)),
        ):  # fmt: skip
            self._add(unit, np.asarray(strength, np.float32))
