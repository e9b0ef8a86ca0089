#!/bin/sh
# Puts the compiled tests, and what they read of the repository, into a directory. The daemon that they start is the
# installed one.
#   tests.sh REPOSITORY DIRECTORY
set -eu
cd "$1"
rm -rf "$2"
mkdir -p "$2/scripts/lanes"
cp -R build package.json policies schema packaging "$2/"
cp scripts/lanes/events-reporter.mjs "$2/scripts/lanes/"
ln -s /usr/lib/virtslad/dist /usr/lib/virtslad/node_modules "$2/"
