import Commands
import Glibc

let status = await CommandRunner.run(Array(CommandLine.arguments.dropFirst()))
exit(status)
