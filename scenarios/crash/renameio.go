// Replaces a file by way of the library that is named so.
package main

import (
	"os"

	"github.com/google/renameio"
)

func main() {
	if err := renameio.WriteFile(os.Args[1], []byte("new\n"), 0o644); err != nil {
		panic(err)
	}
}
