# One virtual environment for everything; ROS 2 is used where it is sourced or installed under /opt/ros.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ROS_SETUP := $(firstword $(wildcard /opt/ros/*/setup.bash))
SHELL := /bin/bash
# Where no ROS 2 is sourced yet but one is installed, source it for the command that follows.
ROS := $(if $(AMENT_PREFIX_PATH),,$(if $(ROS_SETUP),source $(ROS_SETUP) &&,))

.PHONY: demo test quick lowest lint bench benchmark clean

demo: $(VENV)/.run
	$(BIN)/vodistill run demo/bag --out out/demo

test: $(VENV)/.dev
	$(ROS) $(BIN)/python -m pytest

quick: $(VENV)/.dev
	$(ROS) $(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# With the oldest versions of everything that setup.py allows; they are made for Python 3.10, which Humble has, too.
lowest: PYTHON = python3.10
lowest: BIN = .venv/lowest/bin
lowest:
	$(PYTHON) -m venv .venv/lowest
	$(BIN)/python -m pip install --quiet --only-binary :all: -r tests/lowest.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	$(BIN)/python -m pytest tests --ignore tests/training --ignore tests/ros

# On an idle machine; TEACHER=FOLDER compares with a teacher's export, MODEL=NAME takes others than all that ship.
bench: $(VENV)/.run
	mkdir -p out
	$(BIN)/vodistill bench $(addprefix --model ,$(MODEL)) $(addprefix --teacher ,$(TEACHER)) --json out/bench.json

# What benchmarks/bench.json and bench.md hold, in some minutes: both families' teachers, untrained, for they are as slow.
benchmark: $(VENV)/.dev
	$(BIN)/python -m benchmarks.untrained swift-t flownet-t flownet-3-3 --int8 flownet-3-3 flownet-t --out out/untrained
	$(BIN)/vodistill bench --teacher out/untrained/swift-t --teacher out/untrained/flownet-t \
	  --teacher out/untrained/flownet-t-int8 \
	  --model swift-s --model swift-s-int8 --model swift-road --model swift-road-xs --model flownet-3-3 \
	  --model out/untrained/flownet-3-3-int8 --model classical \
	  --engine onnxruntime --engine openvino --json benchmarks/bench.json

clean:
	rm -rf $(VENV) out build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }  # half of one would pass for it the next time
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.run: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[train,dev,rerun,openvino,dev-tensorrt]'
	touch $@ $(VENV)/.run
