"""Downloads of torch.hub without a network."""

import io
from http.client import HTTPMessage
from urllib.error import URLError
from urllib.response import addinfourl

import torch


def answer_downloads(monkeypatch, *contents):
    """Let downloads have these contents, and fail after the last; return the requested URLs."""
    urls, left = [], list(contents)

    def answer(request):
        urls.append(request.full_url)
        if not left:
            raise URLError("Name or service not known")
        return addinfourl(io.BytesIO(left.pop(0)), HTTPMessage(), request.full_url)

    monkeypatch.setattr(torch.hub, "urlopen", answer)
    return urls
