"""Uptime Kuma: what an instance has written after some time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tests.support.applications.databases import Frames

# Settings that say how this one database was made, or are of this instance alone.
OWN_SETTINGS = ("jwtSecret", "database_version", "databasePatchedFiles", "migrateAggregateTableState", "rdapDnsData")

# What must be the same on both sides, without an id. A monitor's description says which one it is: names do not.
RELATIONS = {
    "monitors": """
        SELECT m.description, m.name, m.url, p.description, p.name, u.username, x.host, x.port, xu.username, d.name,
            du.username, b.name, bu.username
        FROM monitor m LEFT JOIN monitor p ON p.id = m.parent LEFT JOIN `user` u ON u.id = m.user_id
            LEFT JOIN proxy x ON x.id = m.proxy_id LEFT JOIN `user` xu ON xu.id = x.user_id
            LEFT JOIN docker_host d ON d.id = m.docker_host LEFT JOIN `user` du ON du.id = d.user_id
            LEFT JOIN remote_browser b ON b.id = m.remote_browser LEFT JOIN `user` bu ON bu.id = b.user_id
        WHERE m.description LIKE '{instance}/%'""",
    "heartbeats": """
        SELECT m.description, h.status, h.msg, SUBSTR(h.time, 1, 19), SUBSTR(h.end_time, 1, 19), h.ping, h.important,
            h.duration, h.retries
        FROM heartbeat h JOIN monitor m ON m.id = h.monitor_id WHERE m.description LIKE '{instance}/%'""",
    "statistics": """
        SELECT m.description, s.timestamp, s.up, s.down, s.ping, s.ping_max, s.extras
        FROM {table} s JOIN monitor m ON m.id = s.monitor_id WHERE m.description LIKE '{instance}/%'""",
    "notifications": """
        SELECT m.description, n.name, n.config, n.is_default, u.username
        FROM monitor_notification l JOIN monitor m ON m.id = l.monitor_id
            JOIN notification n ON n.id = l.notification_id JOIN `user` u ON u.id = n.user_id
        WHERE m.description LIKE '{instance}/%'""",
    "sent notifications": """
        SELECT m.description, n.type, n.days FROM notification_sent_history n JOIN monitor m ON m.id = n.monitor_id
        WHERE m.description LIKE '{instance}/%'""",
    "tags": """
        SELECT m.description, t.name, t.color, l.value
        FROM monitor_tag l JOIN monitor m ON m.id = l.monitor_id JOIN tag t ON t.id = l.tag_id
        WHERE m.description LIKE '{instance}/%'""",
    "status pages": """
        SELECT m.description, g.name, g.weight, l.weight, p.slug, p.title
        FROM monitor_group l JOIN monitor m ON m.id = l.monitor_id JOIN `group` g ON g.id = l.group_id
            JOIN status_page p ON p.id = g.status_page_id
        WHERE m.description LIKE '{instance}/%'""",
    "incidents": """
        SELECT i.title, i.content, p.slug, c.domain FROM incident i JOIN status_page p ON p.id = i.status_page_id
            JOIN status_page_cname c ON c.status_page_id = p.id
        WHERE p.slug LIKE '{instance}-%'""",
    "maintenance": """
        SELECT m.description, t.title, t.description, t.weekdays, u.username, p.slug
        FROM monitor_maintenance l JOIN monitor m ON m.id = l.monitor_id JOIN maintenance t ON t.id = l.maintenance_id
            JOIN `user` u ON u.id = t.user_id JOIN maintenance_status_page s ON s.maintenance_id = t.id
            JOIN status_page p ON p.id = s.status_page_id
        WHERE m.description LIKE '{instance}/%'""",
    "certificates": """
        SELECT m.description, i.info_json FROM monitor_tls_info i JOIN monitor m ON m.id = i.monitor_id
        WHERE m.description LIKE '{instance}/%'""",
    "API keys": """
        SELECT k.name, k.`key`, u.username FROM api_key k JOIN `user` u ON u.id = k.user_id
        WHERE k.name LIKE '%{instance}'""",
}


def relations(instance: str) -> Iterator[tuple[str, str]]:
    """The queries that compare an instance's rows, by name."""
    for name, query in RELATIONS.items():
        tables = ("stat_minutely", "stat_hourly", "stat_daily") if "{table}" in query else ("",)
        for table in tables:
            yield table or name, query.format(instance=instance, table=table)


def instance(name: str, heartbeats: int, seed: int = 0) -> Frames:
    """The rows of one Uptime Kuma: so many heartbeats, and a third as many statistics.

    Ids begin with 1, so those of two instances collide, and some are missing, as after a deletion. Every second monitor
    is called `Ping`, as are those of other instances; notifications have Kuma's default names. The user `admin` and the
    tag `Prod` are everywhere, with other ids.
    """
    chance = np.random.default_rng(seed)
    users = sorted(["admin", f"user-{name}"], reverse=seed % 2 == 0)
    admin = users.index("admin") + 1
    monitors = _monitors(name, max(heartbeats // 2000, 6), admin, chance)
    of = monitors["id"].to_numpy()
    leaves = of[1:]
    pages = pd.DataFrame(
        {
            "id": [1, 3],
            "slug": [f"{name}-page", f"{name}-other"],
            "title": "Status",
            "icon": "/icon.svg",
            "theme": "auto",
            "created_date": "2026-01-01 10:00:00",
            "modified_date": "2026-01-01 10:00:00",
        }
    )
    return {
        "user": pd.DataFrame({"id": [1, 2], "username": users, "password": f"$2b$10${name}"}),
        "setting": pd.DataFrame(
            {
                "key": [*OWN_SETTINGS, "serverTimezone", f"only-{name}"],
                "value": [*(f'"{key} of {name}"' for key in OWN_SETTINGS), '"Europe/Vienna"', "1"],
                "type": "general",
            }
        ),
        "docker_host": pd.DataFrame(
            {"id": [2], "user_id": admin, "docker_daemon": "/docker.sock", "docker_type": "socket", "name": name}
        ),
        "proxy": pd.DataFrame(
            {
                "id": [1],
                "user_id": [3 - admin],
                "protocol": "http",
                "host": f"proxy.{name}",
                "port": [3128],
                "auth": 0,
                "created_date": "2026-01-01 10:00:00",
            }
        ),
        "remote_browser": pd.DataFrame({"id": [1], "name": name, "url": f"ws://{name}", "user_id": [admin]}),
        "notification": pd.DataFrame(
            {
                "id": [1, 4],
                "name": "My Email Alert (1)",
                "user_id": [admin, 3 - admin],
                "is_default": [1, 0],
                "config": [f'{{"type": "smtp", "to": "{who}@{name} 🔔"}}' for who in ("ops", "dev")],
            }
        ),
        "tag": pd.DataFrame(
            {
                "id": [1, 2],
                "name": [f"only {name}", "Prod"][:: 1 if seed % 2 else -1],
                "color": "#DC2626",
                "created_date": "2026-01-01 10:00:00",
            }
        ),
        "status_page": pages,
        "status_page_cname": pd.DataFrame(
            {"id": [1, 2], "status_page_id": [3, 1], "domain": [f"o.{name}", f"p.{name}"]}
        ),
        "group": pd.DataFrame(
            {
                "id": [1, 2, 3],
                "name": "Services",
                "weight": [1, 2, 1],
                "status_page_id": [1, 1, 3],
                "created_date": "2026-01-01 10:00:00",
            }
        ),
        "incident": pd.DataFrame(
            {
                "id": [1, 2],
                "title": "Down",
                "content": [f"first of {name}", f"second of {name}"],
                "created_date": "2026-01-02 10:00:00",
                "status_page_id": [3, 1],
            }
        ),
        "maintenance": pd.DataFrame(
            {
                "id": [1],
                "title": "Nightly",
                "description": f"of {name}",
                "user_id": [admin],
                "strategy": "recurring-weekday",
                "weekdays": "[1,2]",
                "start_time": "02:00",
                "end_time": "03:00",
            }
        ),
        "maintenance_status_page": pd.DataFrame({"id": [1], "status_page_id": [3], "maintenance_id": [1]}),
        "api_key": pd.DataFrame(
            {
                "id": [1],
                "key": f"$2b$10$key-{name}",
                "name": f"metrics {name}",
                "user_id": [admin],
                "created_date": "2026-01-01 10:00:00",
            }
        ),
        "monitor": monitors,
        "monitor_group": _links(of, group_id=leaves % 3 + 1, weight=leaves),
        "monitor_maintenance": _links(of, maintenance_id=np.ones_like(leaves)),
        "monitor_notification": _links(of, notification_id=np.where(leaves % 2, 1, 4)),
        "monitor_tag": _links(of, tag_id=leaves % 2 + 1, value=[f"v{n % 3}" if n % 4 else None for n in leaves]),
        "monitor_tls_info": _links(of, info_json=[f'{{"of": "{name}/{n}"}}' for n in leaves]),
        "notification_sent_history": _links(of, type=["certificate"] * len(leaves), days=[7] * len(leaves)),
        "domain_expiry": pd.DataFrame({"id": [1, 2], "domain": ["example.com", f"{name}.example"]}),
        "heartbeat": _heartbeats(name, heartbeats, leaves, chance),
        "stat_minutely": _statistics(heartbeats // 6, leaves, 60, chance),
        "stat_hourly": _statistics(heartbeats // 8, leaves, 3600, chance),
        "stat_daily": _statistics(heartbeats // 24, leaves, 86400, chance),
    }


def _monitors(name: str, count: int, admin: int, chance: np.random.Generator) -> pd.DataFrame:
    """A group, and the monitors in it; some of them are groups of others, also of monitors with a lower id."""
    number = np.arange(count)
    ids = 1 + number + number // 5
    frame = pd.DataFrame({"id": ids, "name": np.where(number % 2, "Ping", np.char.add("Site ", number.astype(str)))})
    parent = pd.Series(np.where(number % 7 == 3, ids[-1], ids[0]), dtype="Int64").where((number > 0) & (ids != ids[-1]))
    return frame.assign(
        description=[f"{name}/{n}" for n in number],
        url="https://",
        hostname=pd.Series([f"10.0.{n}.1" for n in number]).where(number % 2 == 1),
        type=["group", *("ping" if n % 2 else "http" for n in number[1:])],
        user_id=admin,
        parent=parent,
        proxy_id=pd.Series(np.where(number % 5 == 1, 1, 0), dtype="Int64").replace(0, pd.NA),
        docker_host=pd.Series(np.where(number % 5 == 2, 2, 0), dtype="Int64").replace(0, pd.NA),
        remote_browser=pd.Series(np.where(number % 5 == 3, 1, 0), dtype="Int64").replace(0, pd.NA),
        created_date=[f"2026-01-01 10:{n % 60:02}:00" for n in number],
        weight=2000,
        timeout=chance.choice([16, 48, 24.5], count),
    )


def _links(monitors: np.ndarray, **columns: object) -> pd.DataFrame:
    """A row for each monitor but the first."""
    leaves = monitors[1:]
    return pd.DataFrame({"id": np.arange(len(leaves)) * 2 + 1, "monitor_id": leaves, **columns})


def _heartbeats(name: str, count: int, monitors: np.ndarray, chance: np.random.Generator) -> pd.DataFrame:
    """Beats with milliseconds, each monitor's a minute apart; now and then two in one second, down and up."""
    number = np.arange(count)
    turn = number // len(monitors)
    # Below half a second: MySQL rounds into DATETIME, and MariaDB cuts.
    ms = chance.integers(0, 40, count) * 1000 + chance.integers(0, 500, count)
    moment = pd.Timestamp("2026-03-01") + pd.to_timedelta(turn * 60_000 + ms, unit="ms")
    status = (chance.random(count) < 0.95).astype(int)
    times = pd.Series(moment).dt.strftime("%Y-%m-%d %H:%M:%S.%f").str[:23]
    beats = pd.DataFrame(
        {
            "id": 1 + number + number // 11,
            "important": 1 - status,
            "monitor_id": monitors[number % len(monitors)],
            "status": status,
            "msg": np.where(status, "200 - OK", f"timeout of {name} ⏱"),
            "time": times,
            "ping": pd.Series(chance.integers(1, 900, count), dtype="Int64").where(status == 1),
            "duration": 60,
            "end_time": times,
            "retries": 0,
        }
    )
    again = beats[(beats["status"] == 0)].head(3)
    twins = again.assign(id=beats["id"].max() + 1 + np.arange(len(again)), status=1, msg="200 - OK")
    return pd.concat([beats, twins])


def _statistics(count: int, monitors: np.ndarray, seconds: int, chance: np.random.Generator) -> pd.DataFrame:
    number = np.arange(count)
    return pd.DataFrame(
        {
            "id": 1 + number + number // 9,
            "monitor_id": monitors[number % len(monitors)],
            "timestamp": 1_767_225_600 + number // len(monitors) * seconds,
            "ping": chance.integers(0, 1200, count) / 4,
            "ping_min": 1.5,
            "ping_max": 300.25,
            "up": chance.integers(0, 3, count),
            "down": 0,
            "extras": pd.Series(np.char.add('{"n": ', number.astype(str))).add("}").where(number % 5 == 0),
        }
    )
