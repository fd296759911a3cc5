from dataclasses import dataclass

from dfsync.stages import match as _m
from dfsync.stages import row_hash as _r


class RowHasher:
    hashes = staticmethod(_r.row_hashes)
    with_occurrence = staticmethod(_r.with_occurrence)

    @classmethod
    def random(cls):
        return cls()


@dataclass
class Matches:
    position: object
    dup: object

    def representative_of(self, old_id):
        followers, leaders = self.dup
        if not len(followers):
            return old_id
        r = old_id.copy()
        r[followers] = old_id[leaders]
        return r


def first_matches(a, b):
    f, d = _m.first_matches(a, b)
    return Matches(f, d)
