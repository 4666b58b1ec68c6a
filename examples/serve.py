"""A server that answers with a calibrated class, its confidence, and the band in which that stays if the input moves.

    python examples/serve.py net.onnx map.json 0.01          # then: curl -d '[0.1, 0.2, ...]' localhost:8000

Without arguments it makes a small network and asks itself once. For production put the same two calls behind the server
that you use already.
"""

import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import torch

from surefoot.core import load_onnx_model
from surefoot.graph import GraphBuilder, Linear, write_onnx
from surefoot.recalibrate import TemperatureScaling, load_calibrator, save_calibrator
from surefoot.spec import linf_ball, runner_of_onnx
from surefoot.verify import certify, open_network


def server(network: Path, map_file: Path, radius: float, port: int = 8000) -> HTTPServer:
    """Make a server of one network and its map."""
    opened, calibrator = open_network(network), load_calibrator(map_file)
    logits_of = runner_of_onnx(load_onnx_model(network), logits=True)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one input, a list of numbers."""
            try:
                x = np.array(json.loads(self.rfile.read(int(self.headers["Content-Length"]))), dtype=float).ravel()
                probs = calibrator.predict_proba(logits_of(x[None].astype(np.float32)))[0]
                found = certify(opened, linf_ball(x, radius, -np.inf, np.inf), calibrator)
                certain = {"radius": radius, "between": list(found.confidence), "class stays": found.stays}
                answer = {"class": int(probs.argmax()), "confidence": float(probs.max()), "certain": certain}
                code = 200
            except Exception as error:
                answer, code = {"error": str(error)}, 400
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return HTTPServer(("localhost", port), Handler)


if len(sys.argv) > 1:
    server(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])).serve_forever()
builder = GraphBuilder((4,))
builder.add(Linear(torch.randn(3, 4, generator=torch.Generator().manual_seed(0))), 0)
write_onnx(builder.build(), "net.onnx")
rng = np.random.default_rng(0)
logits = rng.normal(size=(300, 3))
save_calibrator(TemperatureScaling().fit(2 * logits, (logits + rng.gumbel(size=(300, 3))).argmax(1)), "map.json")
running = server(Path("net.onnx"), Path("map.json"), 0.01, 0)
threading.Thread(target=running.serve_forever, daemon=True).start()
request = urllib.request.Request(f"http://localhost:{running.server_port}", b"[0.1, 0.2, 0.3, 0.4]", method="POST")
print(urllib.request.urlopen(request, timeout=30).read().decode())
running.shutdown()
running.server_close()
