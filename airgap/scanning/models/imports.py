"""What a pickle may import: a list of what is known to be harmless, and one of what is known to run code.

Harmless is what builds data from its arguments alone: torch's own list for `weights_only=True`, NumPy's arrays, dtypes
and scalars, and plain containers. Nothing there calls an argument, imports, opens or evaluates. Names are compared
exactly, so that no attribute of a harmless one is reached (`numpy.size.__builtins__`).
Sources: torch/_weights_only_unpickler.py; numpy/_core/multiarray.py; pickle._Unpickler.find_class.
"""

from __future__ import annotations

_STORAGES = tuple(
    f"{name}Storage"
    for name in (
        *("Double", "Float", "Half", "Long", "Int", "Short", "Char", "Byte", "Bool", "BFloat16"),
        *("ComplexDouble", "ComplexFloat", "QUInt8", "QInt8", "QInt32", "QUInt4x2", "QUInt2x4"),
    )
)
_TORCH_TYPES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("complex64", "complex128", "complex32", "quint8", "qint8", "qint32", "quint4x2", "quint2x4", "uint16", "uint32"),
    *("uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
    *("per_tensor_affine", "per_channel_affine", "strided", "Size", "Tensor", "device"),
)
_SCALARS = ("dtype", "ndarray", "float64", "float32", "int64", "int32", "bool_")
_BUILTINS = ("set", "frozenset", "bytearray", "complex", "list", "dict", "tuple", "int", "float", "bool", "bytes")

HARMLESS: dict[str, frozenset[str]] = {
    "collections": frozenset({"OrderedDict", "Counter"}),
    "builtins": frozenset(_BUILTINS),
    "__builtin__": frozenset((*_BUILTINS, "long", "unicode")),
    "_codecs": frozenset({"encode"}),
    "torch": frozenset((*_STORAGES, *_TORCH_TYPES)),
    "torch.storage": frozenset({"UntypedStorage", "TypedStorage"}),
    "torch._utils": frozenset(
        {
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_parameter",
            "_rebuild_qtensor",
            "_rebuild_sparse_tensor",
            "_rebuild_meta_tensor_no_storage",
        }
    ),
    "torch.nn.parameter": frozenset({"Parameter"}),
    "numpy": frozenset(_SCALARS),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy.core.numeric": frozenset({"_frombuffer"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
}

_UNSAFE_MODULES = frozenset(
    (
        *(
            "os",
            "posix",
            "nt",
            "posixpath",
            "ntpath",
            "subprocess",
            "_posixsubprocess",
            "sys",
            "pty",
            "commands",
            "popen2",
        ),
        *(
            "runpy",
            "importlib",
            "_frozen_importlib",
            "_frozen_importlib_external",
            "imp",
            "zipimport",
            "pkgutil",
            "site",
        ),
        *(
            "code",
            "codeop",
            "bdb",
            "pdb",
            "trace",
            "profile",
            "cProfile",
            "timeit",
            "doctest",
            "test",
            "pydoc",
            "idlelib",
        ),
        *(
            "ctypes",
            "_ctypes",
            "cffi",
            "mmap",
            "gc",
            "inspect",
            "types",
            "marshal",
            "pickle",
            "_pickle",
            "cPickle",
            "shelve",
        ),
        *("dill", "cloudpickle", "joblib.memory", "shutil", "tempfile", "pathlib", "glob", "fileinput", "io", "_io"),
        *("socket", "_socket", "ssl", "asyncio", "multiprocessing", "threading", "_thread", "concurrent", "signal"),
        *(
            "http",
            "httplib",
            "urllib",
            "urllib2",
            "requests",
            "aiohttp",
            "httpx",
            "ftplib",
            "smtplib",
            "telnetlib",
            "poplib",
        ),
        *("imaplib", "nntplib", "xmlrpc", "socketserver", "webbrowser", "antigravity", "wsgiref", "sqlite3", "dbm"),
        *(
            "operator",
            "_operator",
            "functools",
            "builtin",
            "pip",
            "ensurepip",
            "venv",
            "setuptools",
            "distutils",
            "pkg_resources",
        ),
        *(
            "lib2to3",
            "IPython",
            "fabric",
            "turtle",
            "tkinter",
            "uuid",
            "platform",
            "getpass",
            "cgitb",
            "curses",
            "readline",
        ),
        *(
            "logging",
            "yaml",
            "nturl2path",
            "sysconfig",
            "_osx_support",
            "_aix_support",
            "_pyrepl",
            "_interpreters",
            "rlcompleter",
        ),
        *(
            "numpy.f2py",
            "numpy.testing",
            "numpy.distutils",
            "numpy.ctypeslib",
            "numpy.__config__",
            "pandas.io",
            "pandas.eval",
        ),
        *(
            "torch.hub",
            "torch.jit",
            "torch.serialization",
            "torch.package",
            "torch.fx",
            "torch._dynamo",
            "torch._inductor",
        ),
        *(
            "torch.utils",
            "torch.distributed",
            "torch.multiprocessing",
            "torch.ops",
            "torch.classes",
            "mlflow",
            "keras",
            "tensorflow",
        ),
        *(
            "transformers.dynamic_module_utils",
            "picklescan",
            "fickling",
            "modelscan",
            "_testcapi",
            "xml.sax",
            "smtpd",
            "dataclasses",
        ),
    )
)
"""With everything below them. Some of what they have is harmless, and honest pickles seldom need any of it."""
_UNSAFE_BUILTINS = frozenset(
    (
        *(
            "eval",
            "exec",
            "execfile",
            "compile",
            "open",
            "file",
            "input",
            "raw_input",
            "breakpoint",
            "__import__",
            "apply",
        ),
        *(
            "getattr",
            "setattr",
            "delattr",
            "globals",
            "locals",
            "vars",
            "type",
            "map",
            "filter",
            "reload",
            "help",
            "exit",
        ),
        *("quit", "memoryview", "classmethod", "staticmethod", "property", "super"),
    )
)
_UNSAFE = {
    "collections": frozenset({"namedtuple", "_sys"}),
    "joblib": frozenset({"load", "dump", "wrap_non_picklable_objects"}),
    "weakref": frozenset({"finalize"}),
    "numpy": frozenset({"load", "save", "memmap", "fromfile", "DataSource", "fromregex", "loadtxt", "genfromtxt"}),
    "pandas": frozenset({"read_pickle", "eval"}),
    "torch": frozenset({"load", "save", "compile"}),
    "codecs": frozenset({"open", "lookup", "register"}),
}


def is_harmless(module: str, name: str) -> bool:
    """True if a pickle that imports it, and calls it with data, only makes data."""
    return name in HARMLESS.get(module, ())


def is_unsafe(module: str, name: str) -> bool:
    """True for what is known to run code or programs, or to read, write or connect. False proves nothing."""
    if module in ("builtins", "__builtin__"):
        return name.split(".", 1)[0] in _UNSAFE_BUILTINS or "." in name
    parts = module.split(".")
    if any(".".join(parts[:count]) in _UNSAFE_MODULES for count in range(1, len(parts) + 1)):
        return True
    reached = name.split(".")
    if len(reached) > 1 and any(part in _UNSAFE_MODULES or part.startswith("__") for part in reached):
        return True
    return name in _UNSAFE.get(module, ()) or reached[-1] in _UNSAFE_BUILTINS - {
        "type",
        "file",
        "input",
        "filter",
        "map",
    }
