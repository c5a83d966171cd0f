# Thin: the same plain commands stand in the README.
#
#   make demo    set up, build, and turn the pictures in examples/ into 3D models
#   make test    set up, build, and run the tests
#
# Settable: TORCH (never let an unpinned torch resolve), PYTHON, VENV, OUT, PRESET.
TORCH  ?= torch==2.13.0
PYTHON ?= python3
VENV   ?= .venv
OUT    ?= runs
PRESET ?= fast

EXAMPLES := $(wildcard examples/*.png examples/*.jpg examples/*.webp)

.PHONY: demo test install
.DEFAULT_GOAL := demo

$(VENV)/bin/python:
	$(PYTHON) -m venv "$(VENV)"

# torch first: the build takes the one that is installed.
install: $(VENV)/bin/python
	"$(VENV)/bin/pip" install "$(TORCH)"
	"$(VENV)/bin/pip" install .

demo: install
	for image in $(EXAMPLES); do \
	  "$(VENV)/bin/realfusion-run" "$$image" --preset "$(PRESET)" --prior bundled \
	    --out "$(OUT)/$$(basename "$${image%.*}")" || exit; \
	done

test: $(VENV)/bin/python
	"$(VENV)/bin/pip" install "$(TORCH)"
	"$(VENV)/bin/pip" install '.[test]'
	"$(VENV)/bin/pytest" -n auto
