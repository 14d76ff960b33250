#!/usr/bin/env python3
"""Keeps of an abidw file (stdin to stdout) the exported functions and the types that they reach: a hundredth of the whole."""

import sys
import xml.etree.ElementTree as tree

root = tree.parse(sys.stdin).getroot()
types = {element.get("id"): element for element in root.iter() if element.get("id")}
functions = [element for element in root.iter("function-decl") if element.get("elf-symbol-id", "").startswith("primacy_")]


def references(element):
    return [value for part in element.iter() for key, value in part.attrib.items() if key.endswith("type-id")]


reached, waiting = set(), [name for function in functions for name in references(function)]
while waiting:
    name = waiting.pop()
    if name not in reached and name in types:
        reached.add(name)
        waiting += references(types[name])
wanted = {id(element) for element in functions} | {id(types[name]) for name in reached}


def prune(element):
    """Whether the element, or something in it, is wanted; what is not goes."""
    if id(element) in wanted:
        return True
    for child in list(element):
        if not prune(child):
            element.remove(child)
    return len(element) > 0


for unit in root.findall("abi-instr"):
    if not prune(unit):
        root.remove(unit)
tree.ElementTree(root).write(sys.stdout, encoding="unicode")
sys.stdout.write("\n")
