"""An image's contents as a CycloneDX bill of materials (SBOM), by OWASP's own library.

It is made beside the image, from the list that the build wrote inside it: one truth for Python, Debian and
npm packages, and the tool is never in an image. The same contents give the same bill, to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from madang_hub import __version__
from madang_hub.shelf.contents import KINDS, Contents, Package

DEBIAN_LICENCES = {
    "Expat": "MIT",
    "Apache-2": "Apache-2.0",
    "BSD-2-clause": "BSD-2-Clause",
    "BSD-3-clause": "BSD-3-Clause",
    "BSD-4-clause": "BSD-4-Clause",
    **{
        f"{family}-{number}{plus}": f"{family}-{number}.0{suffix}"
        for family, numbers in (("GPL", "123"), ("LGPL", "23"), ("AGPL", "3"))
        for number in numbers
        for plus, suffix in (("", "-only"), ("+", "-or-later"))
    },
    "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later",
    "GFDL-1.3": "GFDL-1.3-only",
    "GFDL-1.3+": "GFDL-1.3-or-later",
}
"""Short names of Debian's copyright files (DEP 5) whose meaning SPDX writes in another way."""


def bill(contents: Contents) -> str:
    """The bill as CycloneDX 1.6 in JSON."""
    root = Component(
        name=f"madang/{contents.image}",
        version=contents.release,
        # embedded mode has no images, so nothing that they are built on
        type=ComponentType.CONTAINER if contents.parent else ComponentType.APPLICATION,
        bom_ref="image",
        properties=_properties(
            revision=contents.revision,
            inputs=contents.inputs,
            parent=contents.parent,
            system=contents.system,
            python=contents.python_version,
            bytes=str(contents.bytes or ""),
        ),
    )
    components = [
        _component(package, contents.distro) for kind in KINDS for package in contents.of(kind)
    ]
    bom = Bom(
        # one and the same build keeps its number
        serial_number=uuid5(
            NAMESPACE_OID, f"{contents.image} {contents.release} {contents.inputs}"
        ),
        components=components,
        metadata=BomMetaData(
            component=root,
            timestamp=contents.built or datetime.fromtimestamp(0, UTC),
            tools=ToolRepository(components=list(_tools())),
        ),
    )
    bom.register_dependency(root, components)
    made: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(
        indent=1
    )
    return made + "\n"


def _tools() -> Iterator[Component]:
    library = "cyclonedx-python-lib"
    for name, released in (("madang-hub", __version__), (library, version(library))):
        yield Component(name=name, version=released, type=ComponentType.APPLICATION)


def _component(package: Package, distro: str) -> Component:
    purl = _purl(package, distro)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.APPLICATION if package.kind == "other" else ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl) if purl else f"{package.kind}:{package.name}@{package.version}",
        licenses=list(_licences(package)),
        properties=_properties(
            kind=package.kind, bytes=str(package.bytes), **{"licence-file": package.licence_file}
        ),
    )


def _purl(package: Package, distro: str) -> PackageURL | None:
    """The package's name in the world; None for ours, which are in no index."""
    if package.kind == "python":
        if package.name.startswith("madang-"):
            return None
        return PackageURL("pypi", None, package.name, package.version)
    if package.kind == "npm":
        scope, _, name = package.name.rpartition("/")
        return PackageURL("npm", scope or None, name, package.version)
    if package.kind == "debian":
        return PackageURL(
            "deb",
            distro.split("-")[0] or "debian",
            package.name,
            package.version,
            qualifiers={"arch": package.arch, "distro": distro, "upstream": _upstream(package)},
        )
    return PackageURL("generic", None, package.name, package.version)


def _upstream(package: Package) -> str:
    """The source package, under which Debian's security tracker knows it, where it is called differently."""
    if package.source_version not in ("", package.version):
        return f"{package.source}@{package.source_version}"
    return package.source if package.source != package.name else ""


def _licences(package: Package) -> Iterator[License]:
    """An SPDX id or expression where it is one, else the name as the package has it.

    The format allows one expression or several licences, so an expression among several is a name.
    """
    names = package.licence_names
    if package.kind == "debian":
        names = tuple(dict.fromkeys(DEBIAN_LICENCES.get(name, name) for name in names))
    factory = LicenseFactory()
    for name in names:
        made = factory.make_from_string(name)
        alone = len(names) == 1 or isinstance(made, DisjunctiveLicense)
        yield made if alone else factory.make_with_name(name)


def _properties(**facts: str) -> list[Property]:
    return [Property(name=f"madang:{name}", value=value) for name, value in facts.items() if value]
