"""Sound in WAV files as spikes of a filter bank: the Free Spoken Digit Dataset, and one's own.

Z. Jackson and others, "Free Spoken Digit Dataset", 2016, CC BY-SA 4.0. How sound becomes events is
`lfp_snn.data.filter_bank`; channel and time of an event are where SHD has them.
"""

import dataclasses
import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from lfp_snn.data.class_files import ClassFiles, class_files
from lfp_snn.data.entries import Entry
from lfp_snn.data.event_set import row_set, set_of_one
from lfp_snn.data.events import Events
from lfp_snn.data.filter_bank import FilterBank
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.parts import draw_parts
from lfp_snn.data.sets import IntArray, SampleSet, Splits
from lfp_snn.data.splits import split_parts
from lfp_snn.data.tree import open_tree
from lfp_snn.data.wav import read_wav
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.wording import setting

SOURCE = "your own sounds (WAV), in folders of their class or in a zip of them"
FSDD = "Free Spoken Digit Dataset, digits spoken by six people (Jackson et al. 2016, CC BY-SA 4.0)"
SUFFIXES = (".wav",)

_FSDD_URL = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_DIGITS = tuple("0123456789")
_TESTED = 5  # the recordings of a digit by a speaker that test, as published: the first ones
_SHARE = 1 / 6  # of the speakers tests, where the split is by speaker


class SoundOptions(SpikeOptions):
    """Options of the datasets of sound."""

    root: Path
    steps: int = Field(default=100, ge=1, description="T, time steps of a recording, at most")
    binning: Literal["time", "count", "duration"] = Field(
        default="duration",
        description="all recordings are cut into steps of bin_ms (duration), as many as it takes, "
        "or each into T steps of equal duration (time) or of equally many events (count)",
    )
    bin_ms: float | None = Field(
        default=10.0,
        gt=0,
        validate_default=True,
        description="milliseconds of a step, for binning by duration",
    )
    channels: int = Field(default=64, ge=1, le=1024, description="filters of the bank")
    low_hz: float = Field(default=80.0, gt=0, description="centre of the lowest filter")
    high_hz: float = Field(default=3600.0, gt=0, description="centre of the highest filter")
    rate_hz: int = Field(
        default=8000,
        ge=1000,
        le=384_000,
        description="samples a second to which every sound is brought; above 2 high_hz",
    )
    window_ms: float = Field(
        default=5.0, ge=0.1, le=1000, description="milliseconds over which a level is averaged"
    )
    threshold_db: float = Field(
        default=6.0, gt=0, description="change of a channel's level that makes an event"
    )
    floor_db: float = Field(
        default=50.0, gt=0, le=200, description="silence lies so far below the loudest window"
    )
    code: Literal["delta", "onset"] = Field(
        default="delta",
        description="events where a level rises and where it falls, as two polarities (delta), or "
        "where it rises alone (onset)",
    )

    def bank(self) -> FilterBank:
        """The filter bank of these options.

        Raises:
            ConfigError: the filters do not fit below half the rate.
        """
        return FilterBank(
            self.channels,
            self.low_hz,
            self.high_hz,
            self.rate_hz,
            round(1000 * self.window_ms),
            self.threshold_db,
            self.floor_db,
            self.code,
        )


class SoundFilesOptions(SoundOptions):
    """Options of the dataset `sounds`."""

    root: Path = Field(
        default=Path("datasets/sounds"),
        description="folder or zip that holds <class>/<sound>.wav, or train/<class>/<sound>.wav, "
        "test/<class>/<sound>.wav and perhaps val/...",
    )
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the sounds that test, without train and test"
    )


class FSDDOptions(SoundOptions):
    """Options of the dataset `fsdd`."""

    root: Path = Field(
        default=Path("datasets/FSDD.zip"),
        description="folder or zip that holds <digit>_<speaker>_<index>.wav",
    )
    validation: float = Field(
        default=1 / 8,
        gt=0,
        lt=1,
        description="share of the training part that is held out to validate; by speaker, of the "
        "speakers, and one at least",
    )
    split_by: Literal["index", "speaker"] = Field(
        default="index",
        description="the recordings 0 to 4 of each digit and speaker test, as published (index), "
        "or nobody is heard in two parts (speaker)",
    )
    test_speaker: str | None = Field(
        default=None, description="who tests, by speaker; null: a sixth of them, always the same"
    )


def load(options: SoundFilesOptions) -> Splits:
    """The parts that the folders give; else a share tests, and one of the others validates.

    Raises:
        ConfigError: the filters do not fit below half the rate.
        DataError: there are none, one cannot be read or is silent, or a part is left empty.
    """
    files = class_files(options.root, SUFFIXES, "sounds", options.test_share)
    return _splits("sounds", files, options, f"sounds in {options.root.name}")


def load_fsdd(options: FSDDOptions) -> Splits:
    """The published parts, or parts of different speakers.

    Raises:
        ConfigError: the filters do not fit below half the rate, or there is no such speaker.
        DataError: there are no recordings, one cannot be read, or a part is left empty.
    """
    if not options.root.exists():
        raise DataError(
            f"{options.root} is missing: it is to hold <digit>_<speaker>_<index>.wav; get it from "
            f"{_FSDD_URL} as a zip, or name another folder or zip with {setting('data.root')}"
        )
    tree = open_tree(options.root, SUFFIXES)
    entries = [_spoken(name) for name in tree.names]
    missing = [name for name, entry in zip(tree.names, entries, strict=True) if entry is None]
    if missing or not entries:
        found = f"has the file {missing[0]}" if missing else "has no sounds"
        raise DataError(f"{options.root} {found}; expected <digit>_<speaker>_<index>.wav")
    every = [entry for entry in entries if entry is not None]
    if options.split_by == "speaker":
        every = _by_speaker(every, options)
    elif options.test_speaker is not None:
        raise ConfigError(
            f"{setting('data.test_speaker')} is set, but {setting('data.split_by')} is index, not "
            "speaker"
        )
    return _splits("fsdd", ClassFiles(tree, every, _DIGITS), options, FSDD)


def _spoken(name: str) -> Entry | None:
    """A recording of FSDD: its digit, its speaker as its group, and its published part."""
    found = re.fullmatch(r"(?:.*/)?(\d)_([a-z]+)_(\d+)\.wav", name)
    if found is None:
        return None
    digit, speaker, index = found.groups()
    return Entry(name, digit, speaker, "test" if int(index) < _TESTED else "train")


def _by_speaker(entries: list[Entry], options: FSDDOptions) -> list[Entry]:
    """The recordings, each in the part of its speaker."""
    speakers = sorted({entry.group for entry in entries})
    chosen = options.test_speaker
    if chosen is None:
        free = [dataclasses.replace(entry, part="") for entry in entries]
        entries = draw_parts(free, 0, _SHARE, 0)
    elif chosen in speakers:
        entries = [
            dataclasses.replace(e, part="test" if e.group == chosen else "train") for e in entries
        ]
    else:
        raise ConfigError(
            f"{setting('data.test_speaker')} is {chosen!r}, but the speakers are "
            f"{', '.join(speakers)}"
        )
    return draw_parts(entries, options.validation, 0, options.seed)


def _splits(name: str, files: ClassFiles, options: SoundOptions, source: str) -> Splits:
    """The sounds of some files, encoded, in their parts."""
    bank, tree, entries = options.bank(), files.tree, files.entries

    def read(rows: IntArray) -> Events:
        return Events.joined([_heard(tree.place(n), tree.read(n), bank) for n in names(rows)])

    def names(rows: IntArray) -> list[str]:
        return [entries[row].file for row in rows]

    samples = row_set(
        name,
        read,
        options,
        labels=files.labels,
        ids=[entry.file for entry in entries],
        sensor=bank.sensor,
        classes=files.classes,
        files=tree.files(),
        key={"bank": dataclasses.asdict(bank), "names": [entry.file for entry in entries]},
    )
    rows = split_parts(
        files.labels,
        files.parts,
        validation=options.validation,
        train=options.train,
        seed=options.seed,
        where=options.root,
    )
    return Splits.of(samples, rows["train"], rows["val"], rows["test"], name=name, source=source)


def load_fsdd_file(path: Path, options: FSDDOptions) -> SampleSet:
    """One recording, encoded as the set is; its label is unknown (-1)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    bank = options.bank()
    heard = _heard(str(path), content, bank)
    return set_of_one(path, heard, options, bank.sensor, _DIGITS)


def _heard(place: str, content: bytes, bank: FilterBank) -> Events:
    return bank.events(place, read_wav(place, content))
