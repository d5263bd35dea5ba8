"""Package metadata, read from settings.ini, the one place where nbdev and pip both look."""
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

settings = ConfigParser()
settings.read("settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]
extras = {key.removesuffix("_requirements"): value.split()
          for key, value in settings.items() if key.endswith("_requirements")}


def describe() -> str:
    """README.md for PyPI's page, which has no files beside it.

    Links and images point into the repository as it was at this version.
    """
    text, tag = Path("README.md").read_text(encoding="utf-8"), f"v{settings['version']}"
    raw = settings["git_url"].replace("github.com", "raw.githubusercontent.com")
    here = r"(?!https?:|#|mailto:)"  # what is no address
    text = re.sub(rf"!\[([^\]]*)\]\({here}", rf"![\1]({raw}/{tag}/", text)
    return re.sub(rf"(?<!!)\[([^\[\]]*)\]\({here}", rf"[\1]({settings['git_url']}/blob/{tag}/", text)


setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=describe(),
    long_description_content_type="text/markdown",
    author=settings["author"],
    author_email=settings["author_email"],
    url=settings["git_url"],
    project_urls={
        "Documentation": settings["doc_host"] + settings["doc_baseurl"],
        "Changelog": f"{settings['git_url']}/blob/{settings['branch']}/CHANGELOG.md",
    },
    keywords=settings["keywords"],
    license="Apache-2.0",
    license_files=["LICENSE", "korean_bert/data/LICENSE"],
    packages=find_packages(include=["korean_bert", "korean_bert.*"]),
    package_data={"korean_bert": ["data/*"]},
    python_requires=f">={settings['min_python']}",
    install_requires=settings["requirements"].split(),
    extras_require=extras,
    entry_points={
        "console_scripts": settings.get("console_scripts", "").splitlines(),
        "nbdev": [f"{settings['lib_name']}={settings['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)
