"""Personas: identities to wear, with the consent they stand on.

:func:`create_persona` makes one of photos, :func:`save_persona` and
:func:`load_persona` keep it in a file, :class:`Library` finds it by name.
"""

from mien.personas.create import Choice, choose_face, create_ad_hoc, create_persona
from mien.personas.format import (
    PersonaFile,
    load_persona,
    read_persona_file,
    save_persona,
)
from mien.personas.library import Entry, Library, cast_names, default_root
from mien.personas.persona import Consent, Persona
from mien.personas.photos import is_photo_path, read_photo
from mien.personas.signing import Signature, new_private_key
from mien.personas.validation import check_consent, check_name

__all__ = [
    "Choice",
    "Consent",
    "Entry",
    "Library",
    "Persona",
    "PersonaFile",
    "Signature",
    "cast_names",
    "check_consent",
    "check_name",
    "choose_face",
    "create_ad_hoc",
    "create_persona",
    "default_root",
    "is_photo_path",
    "load_persona",
    "new_private_key",
    "read_persona_file",
    "read_photo",
    "save_persona",
]
