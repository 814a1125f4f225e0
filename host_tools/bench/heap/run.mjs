// Runs Python on the WebAssembly build of MicroPython:
//
//     node run.mjs path/to/micropython.mjs < job.json
//
// The job is {"heap": octets, "files": {"/name/in/the/vm": "/name/on/the/host"}, "steps": ["Python", ...]}. Each step is
// a call of its own in the same `__main__`: this build collects its heap only between calls, whatever a step asks for.
// Exit status 1, and the traceback on stderr, when a step raises anything.

import { readFileSync } from "node:fs";
import { dirname } from "node:path/posix";
import { pathToFileURL } from "node:url";

// The build's glue looks the callee up in a table for most calls inside the VM, which costs more than the call; the table
// stands once the VM runs.
const lookUp = WebAssembly.Table.prototype.get;
const found = [];
WebAssembly.Table.prototype.get = function (index) {
    return (found[index] ??= lookUp.call(this, index));
};

try {
    const { heap, files, steps } = JSON.parse(readFileSync(0, "utf8"));
    const { loadMicroPython } = await import(pathToFileURL(process.argv[2]));
    const vm = await loadMicroPython({ heapsize: heap, stdout: (line) => console.log(line) });
    for (const [name, source] of Object.entries(files)) {
        vm.FS.mkdirTree(dirname(name));
        vm.FS.writeFile(name, readFileSync(source));
    }
    for (const step of steps) {
        vm.runPython(step);
    }
} catch (error) {
    // Node itself would print the line of the source it was thrown from: all 100,000 characters of it.
    console.error(error.name === "PythonError" ? error.message : `${error.name}: ${error.message}`);
    process.exitCode = 1;
}
