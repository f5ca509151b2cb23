"""The loop a Python user would write today with the official SDK's tool runner.

Only for comparison: the same script of a model, the same commands, streamed, nothing recorded.
Prints one line when it is ready to ask and one when it is done.
"""

import subprocess
import sys
import time

BEGAN = time.time()

from anthropic import Anthropic, beta_tool  # noqa: E402


@beta_tool
def shell(command: str, reasoning: str = "") -> str:
    """Runs a command with bash and returns what it printed.

    Args:
        command: The command, as typed in bash.
        reasoning: Why.
    """
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


def main() -> None:
    client = Anthropic()
    print(f"ready {time.time() - BEGAN:.3f}", flush=True)
    runner = client.beta.messages.tool_runner(
        model="claude-sonnet-5-5",
        max_tokens=16000,
        system="You are an SRE agent.",
        tools=[shell],
        messages=[{"role": "user", "content": "look into it"}],
        stream=True,
    )
    turns = 0
    for stream in runner:
        for event in stream:
            if event.type == "text":
                sys.stdout.write(event.text)
        turns += 1
    print(f"\ndone {turns}", flush=True)


main()
