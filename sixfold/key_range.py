"""Which counters keys of links are made of: `links.region` and `links.base`, kept with the data.

Keys of another region count as never granted, and a lower base would grant blocks again: so what
has links keeps its region, and its base only grows.
"""

from connectors.log.meta import read_meta, write_meta
from schemas.links import LINKS, SUBMISSIONS
from sixfold.errors import BadSettings
from sixfold.platform import Platform
from streams.links.blocks import Blocks
from streams.log import Log

_REGION, _BASE = "links.region", "links.base"


def keep_key_range(platform: Platform) -> None:
    """Keep the settings of the host, unless its links were made with others.

    Raises:
        BadSettings: the region is another one, or the base is lower.
        RuleBroken: the settings make no sense.
    """
    wanted, kept = _wanted(platform), _kept(platform)
    if kept is not None and _has_links(platform.log):
        data = platform.settings.data
        if wanted.region != kept.region:
            raise BadSettings(
                f"links.region is {wanted.region}, but the links in {data} were made with "
                f"{kept.region}, and their keys would count as unknown: set it to {kept.region}, "
                "or begin a new data directory"
            )
        if wanted.base < kept.base:
            raise BadSettings(
                f"links.base is {wanted.base}, but links in {data} were made with {kept.base}, and "
                f"their keys would be given again: set it to {kept.base} or more"
            )
    if wanted != kept:
        write_meta(platform.log, {_REGION: str(wanted.region), _BASE: str(wanted.base)})


def key_blocks(platform: Platform) -> Blocks:
    """The blocks that keys are made of, here as at the host.

    Raises:
        BadSettings: the settings are not those of the host.
        RuleBroken: they make no sense.
    """
    wanted, kept = _wanted(platform), _kept(platform)
    if kept is not None and kept != wanted:
        raise BadSettings(
            f"links.region and links.base are {wanted.region} and {wanted.base} here, but "
            f"{kept.region} and {kept.base} for the host of {platform.settings.data}: give all "
            "processes the same settings"
        )
    return wanted


def _wanted(platform: Platform) -> Blocks:
    links = platform.settings.links
    return Blocks(links.region, links.base)


def _kept(platform: Platform) -> Blocks | None:
    """What the host had last; None if it was of a version that did not keep it."""
    values = read_meta(platform.log)
    if _REGION not in values:
        return None
    return Blocks(int(values[_REGION]), int(values[_BASE]))


def _has_links(log: Log) -> bool:
    """Whether anybody has asked for a link."""
    return any(
        log.bounds(topic.name, partition)[1] > 0
        for topic in (LINKS, SUBMISSIONS)
        for partition in range(topic.partitions)
    )
