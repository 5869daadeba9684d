"""Measure on the machine that matters: latency, memory and accuracy of bundles, with the facts that make figures comparable."""
