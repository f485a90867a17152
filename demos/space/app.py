"""A demo written by ``pvzoo space``; `pvzoo.demo` has the code."""

from pathlib import Path

from pvzoo.demo import serve

HERE = Path(__file__).parent
MODELS = []
EXAMPLES = None

if __name__ == "__main__":
    serve(MODELS, examples=EXAMPLES, mcp_server=True)
