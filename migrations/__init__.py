"""The history of the schema. A file is named `<revision>_<purpose>.py`, the revision being four digits."""
