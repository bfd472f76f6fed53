"""One module a command group."""

PROGRAM = "hardening"
COMPLETE_VARIABLE = "_HARDENING_COMPLETE"
COMMANDS = {
    "run": "Run a command under a stack of profiles.",
    "compose": "Compose a stack of profiles into an OCI runtime spec.",
    "launch": "Run a bundle that was composed before.",
    "pull": "Fetch an image, if the stack's policy permits it.",
    "images": "List images, and check the store.",
    "rmi": "Remove images.",
    "ps": "List containers.",
    "logs": "Show the output of a detached container.",
    "stop": "End containers, in good order if they can.",
    "kill": "Send a signal to containers.",
    "wait": "Wait for the end of containers.",
    "rm": "Remove detached containers that have ended.",
    "prune": "Remove what killed launches have left.",
    "log": "Show the records of launches: who ran what.",
    "why": "Say why a command fails, and the least that it needs.",
    "explain": "Show what decided a setting, and the smallest loosening.",
    "diff": "Show what one stack permits beyond another, and what it denies.",
    "lint": "Find what is wrong with profiles.",
    "prove": "Say whether a stack stays within another, and what does not.",
    "test": "Hold profiles to the assertions beside them.",
    "exceptions": "List exceptions with their days, and whether they are used.",
    "check": "Say what an upgrade will break, before it runs.",
    "learn": "Write the layer of what a command needs.",
    "apply": "Tighten an OCI configuration that was made elsewhere.",
    "report": "Write what a command may do, and why, as a page of HTML.",
    "receipt": "Hold the kernel's report of a process against a stack.",
    "score": "Score how exposed a stack, a configuration or a process is.",
    "inspect": "Show what the kernel says of processes that run.",
    "doctor": "Show what this host can enforce.",
    "profile": "List, make, format, sign and verify profiles.",
    "schema": "Show the JSON Schema of profiles, or of tests.",
    "cache": "List and clear what is kept of earlier runs.",
    "plugin": "List plugins, and what they bring.",
    "completion": "Print the completion script of a shell.",
}

#: Commands that stand in a module of another name.
MODULES = dict.fromkeys(("ps", "logs", "stop", "kill", "wait", "rm"), "containers") | dict.fromkeys(
    ("pull", "images", "rmi"), "images"
)
MODULES["schema"] = "profile"

#: Commands that stand in a folder, each in a module of its own name.
FOLDERS = dict.fromkeys(("diff", "prove", "score", "lint", "report", "exceptions", "inspect", "test"), "review")
