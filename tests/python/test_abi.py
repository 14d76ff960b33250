"""The package's declarations are what the C header says: generated text, argument and result types, offsets, sizes, constants."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import primacy
from primacy import _abi, _library

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
HEADER = os.path.join(ROOT, "include", "primacy.h")

# The compiler names the types of every function and the place of every field; Python does the same with its own.
TRAITS = r"""
#include <cstddef>
#include <cstdio>
#include <string>
#include <type_traits>
#include <primacy.h>
template <class T> struct name;
template <> struct name<int32_t> { static std::string of() { return "i4"; } };
template <> struct name<uint32_t> { static std::string of() { return "u4"; } };
template <> struct name<int64_t> { static std::string of() { return "i8"; } };
template <> struct name<uint64_t> { static std::string of() { return "u8"; } };
template <> struct name<primacy_address> { static std::string of() { return "u8x14"; } };
template <> struct name<char> { static std::string of() { return "char"; } };
template <class T> struct name<T *> { static std::string of() { return name<typename std::remove_const<T>::type>::of() + "*"; } };
@HANDLES@
template <class R> std::string signature(R (*)()) { return name<R>::of() + "()"; }
template <class R, class... A> std::string signature(R (*)(A...))
{
    std::string all[] = {name<A>::of()...}, text = name<R>::of() + "(";
    for (auto &one : all) text += one + ",";
    return text + ")";
}
template <class T> std::string field() { return name<typename std::remove_const<T>::type>::of(); }
int main()
{
@BODY@
}
"""


def name(kind):
    """The same names from ctypes' types."""
    simple = {
        ctypes.c_int32: "i4", ctypes.c_uint32: "u4", ctypes.c_int64: "i8", ctypes.c_uint64: "u8", ctypes.c_char: "char",
        ctypes.c_char_p: "char*",
    }
    if kind in simple:
        return simple[kind]
    if issubclass(kind, ctypes.Array):
        return f"{name(kind._type_)}x{kind._length_}"
    if issubclass(kind, ctypes._Pointer):
        return name(kind._type_) + "*"
    return kind.__name__


@unittest.skipUnless(shutil.which("c++"), "no C++ compiler")
class AgainstTheHeader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        handles = [kind.__name__ for kind in _abi.HANDLES + _abi.STRUCTS]
        body = []
        for function in _abi.FUNCTIONS:
            body.append(f'std::printf("function {function} %s\\n", signature({function}).c_str());')
        for struct in _abi.STRUCTS:
            s = struct.__name__
            body.append(f'std::printf("size {s} %zu\\n", sizeof({s}));')
            for field, _ in struct._fields_:
                body.append(f'std::printf("field {s}.{field} %zu %zu %s\\n", offsetof({s}, {field}), '
                            f'sizeof((({s} *)0)->{field}), field<decltype({s}::{field})>().c_str());')
        for values in _abi.ENUMS.values():
            for key in values:
                body.append(f'std::printf("value {key} %lld\\n", (long long){key});')
        for key in vars(_abi):
            if key.startswith("PRIMACY_") and not any(key in values for values in _abi.ENUMS.values()):
                body.append(f'std::printf("value {key} %lld\\n", (long long){key});')
        # One line each, so that the compiler checks the names too.
        special = "\n".join(
            f'template <> struct name<{h}> {{ static std::string of() {{ return "{h}"; }} }};' for h in handles)
        source = TRAITS.replace("@HANDLES@", special).replace("@BODY@", "\n".join(body))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "traits.cc")
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
            program = os.path.join(folder, "traits")
            shared = _library.library().path
            subprocess.run(["c++", "-std=c++17", "-Wno-invalid-offsetof", "-I", os.path.join(ROOT, "include"), path, "-o", program,
                            shared, f"-Wl,-rpath,{os.path.dirname(shared)}"], check=True)
            said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        cls.said = {}
        for line in said.splitlines():
            kind, key, rest = line.split(" ", 2)
            cls.said[kind, key] = rest

    def test_functions(self):
        for function, (_, _, _, _, result, arguments) in _abi.FUNCTIONS.items():
            here = f"{name(result)}({''.join(name(a) + ',' for a in arguments)})"
            self.assertEqual(self.said["function", function], here, function)
            loaded = getattr(_library.library(), function)
            self.assertEqual((loaded.restype, list(loaded.argtypes)), (result, arguments))

    def test_structures(self):
        for struct in _abi.STRUCTS:
            self.assertEqual(int(self.said["size", struct.__name__]), ctypes.sizeof(struct))
            end = 0
            for field, kind in struct._fields_:
                place = getattr(struct, field)
                here = f"{place.offset} {place.size} {name(kind)}"
                self.assertEqual(self.said["field", f"{struct.__name__}.{field}"], here, f"{struct.__name__}.{field}")
                self.assertEqual(place.offset, end, f"{struct.__name__}.{field}: padding before it")
                end += place.size
            self.assertEqual(end, ctypes.sizeof(struct), f"{struct.__name__}: padding at the end, or a field is missing")

    def test_constants(self):
        seen = 0
        for (kind, key), value in self.said.items():
            if kind == "value":
                self.assertEqual(int(value), getattr(_abi, key), key)
                seen += 1
        self.assertGreater(seen, 90)


class Generated(unittest.TestCase):
    def test_the_declarations_are_generated_from_the_header(self):
        generator = os.path.join(ROOT, "bindings", "python", "generate.py")
        fresh = subprocess.run([sys.executable, generator, HEADER], check=True, capture_output=True, text=True).stdout
        with open(os.path.join(ROOT, "bindings", "python", "primacy", "_abi.py"), encoding="utf-8") as file:
            self.assertEqual(file.read(), fresh, "run `make header`")

    def test_every_function_of_the_header_is_declared(self):
        with open(os.path.join(ROOT, "docs", "symbols-in-versions"), encoding="utf-8") as file:
            listed = {line.split()[0]: line.split()[1] for line in file if not line.startswith("#")}
        self.assertEqual({key: value[3] for key, value in _abi.FUNCTIONS.items()}, listed)

    def test_never_blocking_functions_keep_the_interpreters_lock(self):
        lib = _library.library()
        for function, (keeps, _, time, _, _, _) in _abi.FUNCTIONS.items():
            self.assertEqual(keeps, time == "never blocks")
            releases = not getattr(lib, function)._flags_ & 0x4  # FUNCFLAG_PYTHONAPI
            self.assertEqual(releases, not keeps, function)

    def test_codes_are_the_headers(self):
        mine = {f"PRIMACY_E_{code.name}": int(code) for code in primacy.Code}
        self.assertEqual(mine, {key: value for key, value in _abi.ENUMS["primacy_error"].items() if value < 0})


if __name__ == "__main__":
    unittest.main()
