"""The words that made-up history is made of: names, projects, and the texts of commits and pull requests."""

from __future__ import annotations

# As written, and as it stands in an e-mail address. No two are equal without their accents.
FIRST_NAMES = {
    "Łukasz": "lukasz", "Olga": "olga", "健": "ken", "Amara": "amara", "Björn": "bjorn", "Chloé": "chloe",
    "Devi": "devi", "Élodie": "elodie", "Fatima": "fatima", "Giulia": "giulia", "Hugo": "hugo", "İpek": "ipek",
    "João": "joao", "Kenji": "kenji", "Lena": "lena", "Mykola": "mykola", "Noor": "noor", "Oluwaseun": "oluwaseun",
    "Priya": "priya", "Quentin": "quentin", "Rosa": "rosa", "Søren": "soren", "Tomás": "tomas", "Uma": "uma",
    "Viktor": "viktor", "Wanjiru": "wanjiru", "Ximena": "ximena", "Yusuf": "yusuf", "Žofie": "zofie",
    "Ana Lucía": "analucia", "Ben": "ben", "Carla": "carla", "Дмитрий": "dmitry", "Emma": "emma", "Felix": "felix",
    "Grace": "grace", "Hana": "hana", "Igor": "igor", "美咲": "misaki", "Kai": "kai", "Maria": "maria", "Nils": "nils",
    "Pavel": "pavel", "Rania": "rania", "Sara": "sara", "Theo": "theo", "Zoë": "zoe",
}  # fmt: skip
LAST_NAMES = {
    "Żukov": "zukov", "山田": "yamada", "O'Brien": "obrien", "Müller": "mueller", "Dubois": "dubois",
    "Ferrari": "ferrari", "Wójcik": "wojcik", "Haddad": "haddad", "Tanaka": "tanaka", "Petrov": "petrov",
    "Rossi": "rossi", "Costa": "costa", "Nguyễn": "nguyen", "van Dijk": "vandijk", "Okafor": "okafor",
    "Singh": "singh", "Andersson": "andersson", "Novák": "novak", "Kowalski": "kowalski", "Silva": "silva",
    "Öztürk": "oztuerk", "Kim": "kim", "Chen": "chen", "Garcia-López": "garcialopez", "Smith": "smith",
    "Brown": "brown", "D'Angelo": "dangelo", "Ольшанский": "olshansky", "Papadopoulos": "papadopoulos",
    "Weiß": "weiss", "Bergström": "bergstrom", "Mbeki": "mbeki", "Kaya": "kaya", "Horváth": "horvath",
    "Ivanova": "ivanova", "佐藤": "sato", "Lindqvist": "lindqvist", "Moreau": "moreau", "Nakamura": "nakamura",
    "Ortiz": "ortiz", "Popescu": "popescu", "Quispe": "quispe", "Rahman": "rahman", "Sørensen": "sorensen",
    "Taylor": "taylor", "Usman": "usman", "Vega": "vega", "Walker": "walker", "Zhang": "zhang",
}  # fmt: skip
MAIL_HOSTS = ("example.com", "example.org", "example.net", "Mail.Example.com")

ADJECTIVES = ("amber", "brisk", "calm", "daring", "eager", "fluent", "gentle", "hidden", "ivory", "jolly", "keen")
ANIMALS = ("otter", "falcon", "lynx", "heron", "badger", "gecko", "marten", "ibis", "puffin", "walrus", "yak", "newt")
PROJECTS = ("Payments", "Ledger", "Platform", "Tools", "Risk", "Mobile", "Données")

BRANCHES = ("main", "master", "develop", "release/2.x", "hotfix/łódź", "feature/new-parser", "dependabot/pip/rsa-4.9")
FILE_TYPES = (
    None, "py", "py,rst", "no-ext", "yml", "md", "no-ext,py", "java", "java,xml", "ts,tsx", "css,html,js", "sql",
    "json", "py,toml", "c,h", "go", "rs,toml", "sh,yml", "ipynb", "ini,md,py,rst,yml",
)  # fmt: skip

VERBS = (
    "Add",
    "Fix",
    "Remove",
    "Rework",
    "Speed up",
    "Document",
    "Test",
    "Move",
    "Rename",
    "Revert",
    "Handle",
    "Allow",
)
THINGS = (
    "retries", "time zones", "the cache", "NULL dates", "naïve sorting", "empty files", "the parser", "error messages",
    "logging", "the \"quick\" path", "UTF-8 names", "deadlocks", "the build", "flaky tests", "old settings", "50%",
    "it's own id", "memory", "C:\\temp paths", "the `--force` flag", "日付", "the Größe column", "uploads", "typos",
)  # fmt: skip
PLACES = (
    "in the importer", "for MariaDB", "in CI", "on Windows", "for large files", "in the API", "when offline",
    "for new users", "🎉", "during shutdown", "in the scheduler", "under load", "(again)", "for Python 3.13",
)  # fmt: skip
# Texts that a careless reader or writer of CSV, SQL or JSON breaks on.
BODIES = (
    "It was slow because every row was looked up on its own.\nNow there is one query per table.",
    "Steps:\n\n1. open the file\n2. close it\n3. open it again\n\nCloses #42",
    "before\tafter\n-----\t-----\n12\t13",
    "Reported as \"can't open 'C:\\new\\table'\"; the backslashes were taken for \\n and \\t.",
    "first line\r\nsecond line\r\n",
    "Ends with a backslash \\",
    "\\N",
    "NULL",
    "Co-authored-by: Łukasz Żukov <lukasz@example.com>\nSigned-off-by: 山田 健 <ken@example.org>",
    "🚀🐛 ship it, 👩‍💻 said; then 😅 rolled back",
    "'; DROP TABLE commits; -- said the test",
    "a,b;c|d\"e\"\"f\"",
    "100 % of {braces} and %(percent)s and :colons and ? marks",
    "   indented, and with trailing blanks   ",
)  # fmt: skip
LONG_BODY = (
    "The log of the failed night run follows; it's long.\n" + "0x00007fff: waiting for lock on `ledger`\t…\n" * 200
)[:6000]


def person(row: int) -> tuple[str, str, str]:
    """The first name, last name and e-mail address of an author; no two authors share a name or an address."""
    first, last, cycle = _pair(row, len(FIRST_NAMES), len(LAST_NAMES))
    first_name, last_name = list(FIRST_NAMES)[first], list(LAST_NAMES)[last]
    local = f"{FIRST_NAMES[first_name]}.{LAST_NAMES[last_name]}"
    if row % 97 == 5:
        local = f"{first_name}.{last_name}".lower().replace(" ", "")
    return (
        f"{first_name} {_initials(cycle)}".strip(),
        last_name,
        f"{local}{row + 1}@{MAIL_HOSTS[row % len(MAIL_HOSTS)]}",
    )


def project(row: int) -> str:
    """The slug of a repository; no two repositories share one."""
    adjective, animal, cycle = _pair(row, len(ADJECTIVES), len(ANIMALS))
    return f"{ADJECTIVES[adjective]}-{ANIMALS[animal]}" + (f"-{cycle + 1}" if cycle else "")


def _pair(row: int, first: int, second: int) -> tuple[int, int, int]:
    """A row number as a position in each of two lists and a round: a round has every pair once, neighbours differ."""
    cycle, rest = divmod(row, first * second)
    step, position = divmod(rest, first)
    return position, (step + position) % second, cycle


def _initials(cycle: int) -> str:
    """What tells people of later rounds from their namesakes: nothing, `A.`, … `Z.`, `A. A.`, …"""
    letters = ""
    while cycle:
        cycle, letter = divmod(cycle - 1, 26)
        letters = f"{chr(65 + letter)}. {letters}"
    return letters
