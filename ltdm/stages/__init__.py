"""One module a stage: files in, files out. What the workflow's scripts and the CLI both call.

`run(request, *, ...)` takes its files by the rule's keywords. Each request has `code`, the digest
of what can change the result; a stage says what else it reads there. `record` (JSON) repeats what
was asked for. An .npz of images holds `images`, uint8 (N, C, H, W) or float32 points, and `labels`.
A file that is missing or damaged raises LtdmError, whatever else a stage says that it raises.
"""
