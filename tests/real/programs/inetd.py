"""usage: inetd.py PORT: a program for each connection, which has it as standard input and output."""
import socket
import subprocess
import sys

listening = socket.create_server(("", int(sys.argv[1])), backlog=64)
running = []
while True:
    connection, _ = listening.accept()
    with connection:
        command = ["sh", "-c", "read line; echo you said $line"]
        running.append(subprocess.Popen(command, stdin=connection, stdout=connection))
    running = [program for program in running if program.poll() is None]
