"""The texts of generated changes, with common and rare words, so that searching them is realistic."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

SERVICES = (
    *("E-mail", "Campus LAN", "Wireless LAN", "Payroll", "File services", "Virtual desktops", "Telephony"),
    *("Customer portal", "Warehouse control", "Time recording", "Data warehouse", "Backup", "Internet access"),
    *("Identity management", "Printing", "Archive", "Production planning", "Invoicing", "Building access"),
    *("Video conferences", "Laboratory system", "Travel booking", "Software distribution", "Monitoring"),
)
CATEGORIES = ("Network", "Server", "Application", "Database", "Workplace", "Storage", "Security", "Facilities")
GROUPS = (
    *("Network", "Workplace Services", "Server Operations", "Database Operations", "Storage and Backup"),
    *("Security Operations", "Identity Services", "Application Support", "Telephony", "Data Centre"),
    *("Service Desk", "Release Management", "Monitoring", "Data Warehouse", "Printing Services"),
    *("Finance Systems", "Logistics Systems", "Laboratory Systems", "Web Platforms", "Desktop Engineering"),
)
PARTNERS = ("ALDER", "BIRCH", "CEDAR", "ELM", "FIR", "HAZEL", "LARCH", "MAPLE", "OAK", "PINE")
VERBS = ("Replace", "Update", "Restart", "Move", "Extend", "Install", "Configure", "Renew", "Remove", "Test", "Migrate")
THINGS = (
    *("server", "switch", "certificate", "firewall rule", "database", "mail gateway", "disk shelf", "access point"),
    *("load balancer", "backup job", "printer queue", "virtual machine", "router", "licence server", "interface"),
    *("cluster node", "operating system", "storage volume", "directory service", "application release", "cabling"),
)
PLACES = (
    "Oslo",
    "Bergen",
    "building A",
    "building C",
    "data centre North",
    "data centre South",
    "head office",
    "plant 2",
)
# Each occurs in only a handful of changes, however many are generated.
RARE_WORDS = (
    *("zephyr", "obsidian", "quokka", "marzipan", "kestrel", "saffron", "tundra", "basilisk", "pomelo", "gossamer"),
    *(
        "halcyon",
        "juniper",
        "kumquat",
        "labyrinth",
        "meridian",
        "nectarine",
        "ocelot",
        "pangolin",
        "quartzite",
        "rhubarb",
    ),
)
SENTENCES = (
    "The present version gets no more security updates.",
    "Users will notice an interruption of a few minutes.",
    "The manufacturer asks for it before the next release.",
    "It failed twice in the last quarter, and spare parts can no longer be bought.",
    "The work is done outside office hours, and the night shift is informed.",
    "All dependent interfaces are tested together with the key users.",
    "Capacity is used up to ninety per cent at the end of the month.",
    "The audit found that the present settings do not follow the rules.",
)
COMMENTS = (
    "The parts have arrived and are in the store room.",
    "Please confirm the date with the department.",
    "Half of it is done, no complaints so far.",
    "The test with the key users was successful.",
    "We need access to the site on Tuesday at 18:00.",
    "Monitoring shows nothing unusual.",
    "Moved by a day, as the technician is ill.",
)
STATUSES = ("Accepted", "In progress", "Waiting for parts", "Planned", "Done")
ERRORS = ("The record is locked.", "Unknown configuration item.", "The field category has a value that is not known.")


def falling(values: Sequence[str]) -> list[str]:
    """A list with repetitions, so that a uniform choice picks each value less often than the one before it."""
    return [value for place, value in enumerate(values) for _ in range(max(1, 2 * len(values) // (place + 1)))]


class Writer:
    """Generates random texts from the random generator `chance`. `count`: how many changes there will be."""

    def __init__(self, chance: Random, count: int) -> None:
        self._chance = chance
        self._verbs, self._things, self._places = falling(VERBS), falling(THINGS), falling(PLACES)
        self._rare_step = max(1, count // (4 * len(RARE_WORDS)))

    def title(self, place: int) -> str:
        """The title of the change at this place in the order of creation."""
        pick = self._chance.choice
        title = f"{pick(self._verbs)} {pick(self._things)} in {pick(self._places)}"
        if place % self._rare_step == 0:
            return f"{title}, project {RARE_WORDS[place // self._rare_step % len(RARE_WORDS)]}"
        # The name of a device, a word that hardly any other change has.
        return f"{title}, {pick(('sw', 'srv', 'ap', 'vm', 'db'))}-{self._chance.getrandbits(20):05x}"

    def text(self, sentences: int) -> str:
        return " ".join(self._chance.choice(SENTENCES) for _ in range(sentences))
