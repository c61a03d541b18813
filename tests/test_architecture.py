"""The shape of the package: layers, no cycles, short files, checks that stay on under ``python -O``."""

import ast
from pathlib import Path

import pytest

import phasewave

SOURCE = Path(phasewave.__file__).parent
FILES = {path.relative_to(SOURCE): path for path in sorted(SOURCE.rglob("*.py"))}

# A package may use those of lower rank; those of equal rank know nothing of each other.
RANK = {
    "checks": 0,
    **dict.fromkeys(("core", "solve", "runs"), 1),
    "scattering": 2,
    **dict.fromkeys(("turbulence", "molecules", "images", "classify", "diagnostics"), 3),
    "cli": 4,
}
ROOT_FILES = {"__init__", "__main__"}  # the public face and the command stand above all layers
MAX_LINES = 350


def module_name(relative):
    parts = ("phasewave", *relative.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(relative): path for relative, path in FILES.items()}


def imports_of(tree, module, is_package):
    """Yield the full name of everything of phasewave that a module imports, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*parents, *([base] if base else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "phasewave")


def graph():
    """Return for each module the modules of phasewave that it imports."""
    edges = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = set()
        for imported in imports_of(tree, name, path.name == "__init__.py"):
            # "a.b.name" is the module a.b.name or something defined in a.b
            found.add(imported if imported in MODULES else imported.rpartition(".")[0])
        edges[name] = found - {name}
    return edges


EDGES = graph()


def layer(module):
    return module.split(".")[1] if "." in module else "__init__"


def test_the_parser_sees_the_imports():
    assert "phasewave.checks" in EDGES["phasewave.core.bank"]
    assert "phasewave.runs.atomic" in EDGES["phasewave.runs.hdf5"]
    relative = list(imports_of(ast.parse("from . import a\nfrom ..core.bank import B"), "phasewave.runs.x", False))
    assert relative == ["phasewave.runs.a", "phasewave.core.bank.B"]


def test_every_module_has_a_layer():
    assert {layer(module) for module in MODULES} - ROOT_FILES <= RANK.keys()


@pytest.mark.parametrize("module", [m for m in MODULES if layer(m) not in ROOT_FILES])
def test_a_module_imports_its_own_layer_or_a_lower_one(module):
    for imported in EDGES[module]:
        assert imported in MODULES, f"{module} imports {imported}, which is not there"
        assert layer(imported) not in ROOT_FILES, f"{module} imports the root package"
        same, lower = layer(imported) == layer(module), RANK[layer(imported)] < RANK[layer(module)]
        assert same or lower, f"{module} imports {imported}: {layer(module)} may not know {layer(imported)}"


def test_no_import_cycles():
    order, on_path = {}, []

    def visit(module):
        if module in on_path:
            cycle = [*on_path[on_path.index(module) :], module]
            pytest.fail(f"import cycle: {' -> '.join(cycle)}")
        if module in order:
            return
        on_path.append(module)
        for imported in sorted(EDGES[module] & MODULES.keys()):
            visit(imported)
        order[module] = on_path.pop()

    for module in MODULES:
        visit(module)
    assert order.keys() == MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_short_documented_and_asserts_nothing(module):
    text = MODULES[module].read_text(encoding="utf-8")
    tree = ast.parse(text)
    asserts = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not asserts, f"{module}: `assert` in line {asserts} vanishes under python -O; raise an error"
    assert ast.get_docstring(tree), f"{module} has no docstring"
    n_lines = len(text.splitlines())
    assert n_lines <= MAX_LINES, f"{module} has {n_lines} lines; split it by purpose"


def test_names_given_to_the_public_exist_and_are_documented():
    for name in phasewave.__all__:
        item = getattr(phasewave, name)
        assert isinstance(item, str) or (item.__doc__ or "").strip(), f"phasewave.{name} has no docstring"
