"""Configuration of the documentation site, which ``make docs`` builds with Sphinx."""

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# The folder of our own extensions, and the command ``exvae`` for cells of notebooks that call it.
sys.path.insert(0, str(HERE / "extensions"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def digest_of_package() -> str:
    """Give a number that changes with any module of the package."""
    package = Path(importlib.util.find_spec("exvae").origin).parent
    folders = ("data", "experiments", "guides", "models")
    files = sorted(path for name in folders for path in (package / name).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


project = "exvae"
author = "the exvae developers"
release = importlib.metadata.version("exvae")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "command_pages",
    "name_links",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

# Pages: Markdown that the repository's page shows as well, so headings have its anchors.
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
highlight_language = "none"

# Threads of notebooks must not spin while they wait, as in the Makefile.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
# Bars of progress are of text here, as widgets need a browser; tqdm warns of it when Pyro loads it.
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
# Notebooks run in a folder of their own, or come from the cache of a build with the same package.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks" / digest_of_package())
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars; warnings are errors in the tests of tutorials

# Reference: only what has a docstring, in the order of the source.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_preprocess_types = False

html_theme = "furo"
html_title = f"exvae {release}"
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_copyright = False
html_show_sphinx = False

# MathJax comes with the site, so that formulas need no network.
mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static"
html_static_path = ["_static", str(mathjax)]
mathjax_path = "mathjax/tex-chtml.js"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def skip_field(app, what, name, obj, skip, options):
    """Leave out fields of named tuples: the section Attributes of their class describes them."""
    return True if type(obj).__name__ == "_tuplegetter" else skip


def setup(app):
    """Connect the events."""
    app.connect("autodoc-skip-member", skip_field)
