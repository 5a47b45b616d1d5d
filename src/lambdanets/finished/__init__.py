"""Finished runs brought back to life."""

from lambdanets.finished.classifier import FinishedRun as FinishedRun
from lambdanets.finished.classifier import as_classifier as as_classifier
from lambdanets.finished.classifier import load_run as load_run
from lambdanets.finished.detector import FinishedDetector as FinishedDetector
from lambdanets.finished.detector import as_detector as as_detector
from lambdanets.finished.detector import is_detector as is_detector
from lambdanets.finished.detector import load_detector as load_detector
from lambdanets.finished.stored import StoredRun as StoredRun
from lambdanets.finished.stored import open_run as open_run
