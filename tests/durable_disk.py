"""A model of a disk: what a power cut may leave of the operations that shim/record.c wrote down.

What was synced is there. Of what was not, anything may be:

    data      of a file: nothing, all, a prefix, or any choice of its blocks; the rest of a file
              that grew is zeros, or what happened to be on the disk
    names     of a folder: the operations on them up to some point, in the order they were done in

A name is there for certain only after its folder was synced; syncing a file does not bring its name
with it. ext4 and XFS promise more, POSIX does not.
"""

import dataclasses
import pathlib
import struct

OPEN, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, LINK, MKDIR, RMDIR = range(9)
NAMES = "open write truncate sync rename unlink link mkdir rmdir".split()
HEADER = struct.Struct("<IIIIQQQ")
BLOCK = 512


@dataclasses.dataclass
class Op:
    kind: int
    truncates: bool
    inode: int
    offset: int
    name: str
    other: str
    data: bytes

    def __str__(self):
        return (f"{NAMES[self.kind]} {self.name or '#' + str(self.inode)} {self.other} "
                f"{len(self.data)}@{self.offset}")


def read_log(path):
    """The operations of a log. One that was cut off, by a kill, is left out."""
    raw, at, ops = pathlib.Path(path).read_bytes(), 0, []
    while at + HEADER.size <= len(raw):
        kind, truncates, name, other, inode, offset, size = HEADER.unpack_from(raw, at)
        at += HEADER.size
        if at + name + other + size > len(raw):
            break
        texts = raw[at:at + name].decode(), raw[at + name:at + name + other].decode()
        at += name + other
        ops.append(Op(kind, bool(truncates), inode, offset, *texts, raw[at:at + size]))
        at += size
    return ops


class File:
    def __init__(self, data=b""):
        self.synced, self.now = bytes(data), bytearray(data)
        self.pending = []  # (offset, data), or (None, size) for a truncation

    def write(self, offset, data):
        put(self.now, offset, data)
        self.pending.append((offset, data))

    def truncate(self, size):
        cut(self.now, size)
        self.pending.append((None, size))

    def sync(self):
        self.synced, self.pending = bytes(self.now), []

    def survive(self, draw):
        """Bytes that a cut may leave."""
        how = draw.choice(["nothing", "all", "prefix", "prefix", "blocks", "zeros", "stale"])
        if how == "nothing" or not self.pending:
            return self.synced
        if how == "all":
            return bytes(self.now)
        if how == "prefix":
            return self.prefix(draw)
        return self.blocks(draw, how)

    def prefix(self, draw):
        """The first so many of the operations, and a part of the next."""
        left, whole = bytearray(self.synced), draw.randint(0, len(self.pending) - 1)
        for offset, what in self.pending[:whole]:
            cut(left, what) if offset is None else put(left, offset, what)
        offset, what = self.pending[whole]
        if offset is not None:
            put(left, offset, what[:draw.randint(0, len(what))])
        return bytes(left)

    def blocks(self, draw, how):
        """The size is there; each block has its new content or not. Where it never had an older
        one, a lost block holds zeros, or stale bytes. 'zeros': every block is lost."""
        left = bytearray(self.synced[:len(self.now)])
        fresh = len(left)
        more = len(self.now) - fresh
        left += draw.randbytes(more) if how == "stale" else bytes(more)
        for at in range(0, len(self.now), BLOCK):
            if how != "zeros" and draw.random() < 0.5:
                left[at:at + BLOCK] = self.now[at:at + BLOCK]
        return bytes(left)


class Folder:
    def __init__(self):
        self.synced, self.now = {}, {}
        self.pending = []  # each a list of (name, node or None) that happen together

    def change(self, *changes):
        self.pending.append(changes)
        apply(self.now, changes)

    def sync(self):
        self.synced, self.pending = dict(self.now), []

    def survive(self, draw):
        left = dict(self.synced)
        most = len(self.pending)
        for changes in self.pending[:draw.choice([0, most, draw.randint(0, most)])]:
            apply(left, changes)
        return left


def put(data, offset, more):
    if offset > len(data):
        data += bytes(offset - len(data))
    data[offset:offset + len(more)] = more


def cut(data, size):
    del data[size:]
    data += bytes(size - len(data))


def apply(entries, changes):
    for name, node in changes:
        if node is None:
            entries.pop(name)
        else:
            entries[name] = node


class Disk:
    """The tree below `folder`, all of it synced, and what operations make of it. `forgets(name)`
    makes a broken disk: it ignores the syncs of files that last had such a name."""

    def __init__(self, folder, forgets=None):
        self.nodes, self.last_name, self.forgets = {}, {}, forgets
        self.root = self.load(pathlib.Path(folder))

    def load(self, path):
        node = Folder() if path.is_dir() else File(path.read_bytes())
        self.bind(path.stat().st_ino, node, path.name)
        if path.is_dir():
            node.now = {p.name: self.load(p) for p in path.iterdir()}
            node.synced = dict(node.now)
        return node

    def bind(self, inode, node, name):
        self.nodes[inode] = node
        self.last_name[id(node)] = name

    def place(self, path):
        """The folder that holds `path`, and the last name."""
        *folders, name = path.split("/")
        node = self.root
        for part in folders:
            node = node.now[part]
        return node, name

    def do(self, op):
        if op.kind == OPEN:
            self.open(op)
        elif op.kind == WRITE:
            self.nodes[op.inode].write(op.offset, op.data)
        elif op.kind == TRUNCATE:
            self.nodes[op.inode].truncate(op.offset)
        elif op.kind == SYNC:
            node = self.nodes[op.inode]
            if not (self.forgets and isinstance(node, File) and
                    self.forgets(self.last_name[id(node)])):
                node.sync()
        elif op.kind == MKDIR:
            folder, name = self.place(op.name)
            self.bind(op.inode, Folder(), name)
            folder.change((name, self.nodes[op.inode]))
        elif op.kind in (UNLINK, RMDIR):
            folder, name = self.place(op.name)
            folder.change((name, None))
        else:
            self.move(op)

    def open(self, op):
        folder, name = self.place(op.name)
        if name not in folder.now:
            self.bind(op.inode, File(), name)
            folder.change((name, self.nodes[op.inode]))
        elif op.truncates and folder.now[name].now:
            folder.now[name].truncate(0)

    def move(self, op):
        folder, name = self.place(op.name)
        to, other = self.place(op.other)
        assert folder is to, f"between folders: {op}"
        node = folder.now[name]
        self.last_name[id(node)] = other
        folder.change(*[(name, None)] if op.kind == RENAME else [], (other, node))

    def synced(self, path):
        """What is there for certain: bytes of a file, True for a folder, else None."""
        node = self.root
        for part in path.split("/"):
            node = node.synced.get(part) if isinstance(node, Folder) else None
        return node.synced if isinstance(node, File) else None if node is None else True

    def now(self, path):
        """The bytes that the running process sees in a file."""
        folder, name = self.place(path)
        return bytes(folder.now[name].now)

    def survivors(self, draw):
        """What a cut now may leave: a folder is a dict of its names, a file its bytes."""
        return view(self.root, lambda node: node.survive(draw))

    def present(self):
        """What the running process sees."""
        return view(self.root, lambda node: node.now)


def view(node, look):
    seen = look(node)
    if isinstance(node, File):
        return bytes(seen)
    return {name: view(child, look) for name, child in seen.items()}


def write(tree, to):
    """Makes the files of a tree; `to` may be an empty folder."""
    if not isinstance(tree, dict):
        to.write_bytes(tree)
        return
    to.mkdir(exist_ok=True)
    for name, child in tree.items():
        write(child, to / name)


def read(path):
    """The tree below a folder."""
    if not path.is_dir():
        return path.read_bytes()
    return {p.name: read(p) for p in path.iterdir()}


def look(tree, path):
    """The file or folder of a tree, or None."""
    for part in path.split("/"):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
