"""The cast: who they are. All are invented; any likeness to a real person is chance."""

from __future__ import annotations

from .figure.person import Person

# What most people read as a feminine face, as a start for the women of the cast.
_SOFT = {
    "l-eye-scale-incr": 0.35,
    "l-eye-height2-incr": 0.25,
    "l-eye-corner2-up": 0.25,
    "mouth-lowerlip-volume-incr": 0.4,
    "mouth-upperlip-volume-incr": 0.4,
    "chin-width-decr": 0.35,
    "nose-scale-horiz-decr": 0.2,
    "nose-point-up": 0.2,
}

CAST: tuple[Person, ...] = (
    Person(
        name="ada", seed=401, male=0.0, age=0.5, ancestry={"caucasian": 0.75, "asian": 0.25},
        skin_tone=0.20, hair="brown", iris="green", shirt="teal", weight=0.45, style="long",
        features={**_SOFT, "l-cheek-bones-incr": 0.5, "head-oval": 0.5},
        hair_length=0.13, lip_colour=1.5, liner=0.7, brow_density=0.8, brow_thickness=0.7,
        brow_arch=1.15,
    ),
    Person(
        name="noor", seed=402, male=0.0, age=0.53, ancestry={"caucasian": 0.7, "african": 0.3},
        skin_tone=0.42, hair="black", iris="amber", shirt="ochre", weight=0.45, style="bun",
        features={
            **_SOFT, "nose-point-up": 0.0, "nose-hump-incr": 0.8, "nose-scale-vert-incr": 0.45,
            "nose-point-down": 0.25, "l-cheek-bones-incr": 0.4, "head-diamond": 0.7,
            "chin-prominent-incr": 0.4, "l-eye-corner2-up": 0.6, "mouth-scale-horiz-incr": 0.35,
        },
        hair_length=0.10, lip_colour=1.5, liner=1.0, brow_density=1.0, brow_thickness=1.0,
        brow_arch=1.1,
    ),
    Person(
        name="mei", seed=403, male=0.0, age=0.5, ancestry={"asian": 1.0}, skin_tone=0.17,
        hair="black", iris="dark", shirt="wine", weight=0.42, style="bob",
        features={**_SOFT, "head-round": 0.5, "nose-point-up": 0.4, "l-eye-scale-incr": 0.5},
        hair_length=0.12, lip_colour=1.4, liner=0.6, brow_density=0.8, brow_thickness=0.65,
        brow_arch=1.0,
    ),
    Person(
        name="zola", seed=404, male=0.0, age=0.5, ancestry={"african": 1.0}, skin_tone=0.80,
        hair="black", iris="dark", shirt="linen", weight=0.45, style="crop",
        features={
            **_SOFT, "l-cheek-bones-incr": 0.5, "head-round": 0.7, "l-cheek-volume-incr": 0.5,
            "nose-scale-vert-decr": 0.35, "forehead-scale-vert-incr": 0.4,
        },
        hair_length=0.09, lip_colour=1.3, liner=0.8, brow_density=0.85, brow_thickness=0.7,
        brow_arch=1.15,
    ),
    Person(
        name="greta", seed=405, male=0.0, age=0.9, ancestry={"caucasian": 1.0}, skin_tone=0.12,
        hair="silver", iris="blue", shirt="plum", weight=0.5, style="bob",
        features={
            **_SOFT, "head-rectangular": 0.3, "mouth-lowerlip-volume-incr": 0.0,
            "mouth-upperlip-volume-incr": 0.0,
        },
        hair_length=0.14, lip_colour=1.1, liner=0.3, brow_density=0.8, brow_thickness=0.7,
        brow_arch=1.1,
    ),
    Person(
        name="freya", seed=406, male=0.0, age=0.5, ancestry={"caucasian": 1.0}, skin_tone=0.07,
        hair="red", iris="green", shirt="moss", weight=0.4, style="long",
        features={
            **_SOFT, "head-invertedtriangular": 0.5, "head-oval": 0.4, "nose-point-up": 0.7,
            "nose-scale-vert-decr": 0.45, "nose-scale-horiz-decr": 0.45,
            "mouth-scale-horiz-incr": 0.6, "mouth-upperlip-volume-incr": 0.0,
            "mouth-lowerlip-volume-incr": 0.15, "l-eye-trans-out": 0.2,
            "l-cheek-volume-decr": 0.5, "chin-prominent-incr": 0.3,
        },
        hair_length=0.15, freckles=1.5, liner=0.4, brow_density=0.8, brow_thickness=0.7,
        brow_arch=1.1,
    ),
    Person(
        name="kai", seed=501, male=1.0, age=0.52, ancestry={"asian": 0.6, "caucasian": 0.4},
        skin_tone=0.32, hair="black", iris="brown", shirt="coal", beard=0.25, brow_thickness=1.0,
        features={
            "head-square": 0.5, "chin-width-incr": 0.4, "l-cheek-bones-incr": 0.5,
            "chin-prominent-incr": 0.3, "nose-greek-incr": 0.2,
        },
    ),
    Person(
        name="bram", seed=502, male=1.0, age=0.62, ancestry={"caucasian": 1.0}, skin_tone=0.14,
        hair="brown", iris="blue", shirt="navy", weight=0.55, beard=0.9, brow_thickness=0.95,
        features={
            "head-rectangular": 0.5, "chin-cleft-incr": 0.6, "chin-prominent-incr": 0.5,
            "nose-hump-incr": 0.5, "nose-scale-vert-incr": 0.3,
        },
    ),
    Person(
        name="tunde", seed=504, male=1.0, age=0.55, ancestry={"african": 1.0}, skin_tone=0.90,
        hair="black", iris="dark", shirt="ochre", hair_length=0.06, beard=0.35,
        features={
            "head-rectangular": 0.6, "l-cheek-bones-incr": 0.7, "chin-jaw-drop-incr": 0.2,
            "chin-height-incr": 0.2, "mouth-scale-horiz-incr": 0.4, "nose-volume-incr": 0.3,
        },
    ),
    Person(
        name="rafael", seed=505, male=1.0, age=0.8, ancestry={"caucasian": 0.7, "asian": 0.3},
        skin_tone=0.35, hair="grey", iris="brown", shirt="wine", weight=0.6, beard=0.6,
        hairline=8.10, brow_thickness=0.85,
        features={
            "head-square": 0.4, "l-cheek-volume-incr": 0.4, "nose-volume-incr": 0.5,
            "mouth-upperlip-volume-decr": 0.3,
        },
    ),
)  # fmt: skip
