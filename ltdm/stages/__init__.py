"""The stages, one module each: files in, files out. The workflow's scripts and the CLI call them.

`run(request, *, ...)` takes its files by the rule's keywords. Each request has `code`, the digest
of the code that can change the result; a stage's docstring names the request's other keys. `record`
(JSON) repeats the request. An .npz of images holds `images`, uint8 (N, C, H, W) or float32 points,
and `labels`. A missing or damaged file raises LtdmError, besides what a stage lists under Raises.
"""
