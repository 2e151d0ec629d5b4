"""What the sections of docs/speed.md say: facts about how things are measured, and sentences made from the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.results import Row
from benchmarks.thousand import describe_limits

COLD = """The first scan of an area, into an empty workspace, with all that it makes: archive, change maps, table, evidence and
picture. 30 Sentinel-2 scenes (24 of one year as the baseline, 6 of two months that are watched) lie on the disk as files with
Earth Search's layout. The area is the largest rectangle in longitude and latitude that lies in so many pixels, as users draw
it: its edges are not those of the pixels, and tiles there are partly outside. The *decode limit* is what GDAL alone takes to
unpack the blocks that the grid around the area needs, on the same two threads, and to do nothing with them. Blocks wholly
below cloud are not needed. There is about one mine on four square kilometres; it is found when confirmed alerts cover 30 % of
it. A false alarm is a confirmed alert elsewhere. The river winds through the same scenes, leaves out a lake and takes in an
island in it; `Grid.inside` is the function that tells which pixels lie in an outline. Once the goals of CPU and time are met,
the next one is 1.5. Where odc-stac is installed, the usual way is measured too: load the same scenes, all of their pixels,
with odc-stac and compare the medians of NDVI and BSI before and after with xarray. That gives one picture of change, and no
alerts, dates or history."""

WARM = """What is read once stays in the workspace's archive. These are scans on a later night: a day later, when nothing has
come; and of a long series when all but one scene is there, the newest, or one from the middle of the watched ones that comes
late. Rasters and alerts of the latter must equal those of a scan that finds everything at once."""

REPORT = """The report of one area with many alerts, after its first scan: maps, images before and after, and charts of each
alert, read from the archive and from the scenes on the disk."""

STARTUP = """What commands cost that show help or a list, in a workspace with alerts, beyond what Python needs to start; and what
the first scan on a machine spends on compiling: the CPU of a scan with an empty cache of compiled code, less that of the
same scan in a new workspace with the cache that the first one left. Whole processes are measured, of each command the best
of three."""

LINES = """The same scenes from a server that waits 30 ms before it answers each request, as a distant store does, against the
same server without the wait. Each band of a scene is one file, and its header has to be asked for too."""

AREAS = """One scan of many small areas that lie anywhere, also over each other, against the time that GDAL takes to unpack what
each of them needs, one area after another, on two threads. Each is a rectangle in longitude and latitude."""

CLUSTER = """The same scan on a Dask cluster of two processes, and on the two threads of one process. Results must be equal.
CPU of the cluster is that of the scan, of both workers and of the scheduler."""

KERNEL = """Detection alone, on looks that are in memory: a look is one pixel on one date. The area has exactly these pixels, so
that each of them is followed. The peers do other work: nrt's MoSum
follows one index and pyxccd's S-CCD four bands, and neither knows patches or alerts. Their pieces of the series are smaller,
since they take longer. nrt runs in one process, pyxccd in two."""

UPDATE = """The update of the alerts table at the end of a scan, where people have decided much: once with the ids of the scan
before, once with each alert renamed and moved; in many areas, and in one. Plain SQL writes status and outline of the same
rows, in one transaction too, and does nothing else."""

THOUSAND = """What it takes to watch a thousand areas of 300 km² each. Some areas, side by side in one synthetic series, are
measured: the first fill of all and of a quarter of them, a night with nothing new, and a night with a new look in each. Their
cost is taken apart into terms: what is done once a scan (the part of searching, of the table and of planning, checks and
records that does not grow with the areas), for each area, for each look of an area, for each tile of 512 × 512
pixels, for each alert. A thousand areas are the sum of their terms, on the machine that was measured. For 16 workers the
figures are computed, not measured: reading and mapping take their CPU seconds divided by 16, all other stages stay in one
process as long as they were, and nothing is waited for, neither network nor disk nor scheduler. Two satellites pass every five
days, so that on a usual night one area in five has a new look; 150 looks are two years of that. Each area has an archive of its
own, also where areas lie over each other. The synthetic series has a mine on every four square kilometres, far more than most
areas, so that what grows with alerts is at its upper end. Limits are reached where the terms, taken as straight lines, say so."""

TEXTS: dict[str, tuple[str, str]] = {
    "cold": ("Cold scans", COLD),
    "warm": ("Nights", WARM),
    "report": ("Reports", REPORT),
    "startup": ("Starting and compiling", STARTUP),
    "lines": ("Slow lines", LINES),
    "areas": ("Many areas", AREAS),
    "thousand": ("1,000 areas × 300 km²", THOUSAND),
    "cluster": ("A cluster", CLUSTER),
    "kernel": ("The monitor", KERNEL),
    "update": ("The alerts table", UPDATE),
}
"""Title and meaning of each benchmark, in the page's order."""

MADE: dict[str, Callable[[Sequence[Row]], str]] = {"thousand": describe_limits}
"""Sentences that follow from the figures of a benchmark."""
