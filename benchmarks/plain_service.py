"""What one would write in an afternoon: FastAPI before a transformers pipeline; service_load.py starts it."""

import os
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from speed_engines import ENGINES, PIPELINE


class Body(BaseModel):
    """One article."""

    text: str


def main(backbone: str, port: str, tags: str) -> None:
    """Serve until ended."""
    engine = ENGINES[PIPELINE]({"backbone": backbone, "tags": int(tags), "threads": len(os.sched_getaffinity(0))})
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.post("/score")
    def score(body: Body) -> Any:
        return engine.score([body.text])

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
