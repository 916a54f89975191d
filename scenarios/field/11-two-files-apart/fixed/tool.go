// A certificate and its key, renewed together:  renew SERIAL | show
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func end(code int, words ...any) {
	fmt.Println(words...)
	os.Exit(code)
}

func check(err error) {
	if err != nil {
		end(4, "failed:", err)
	}
}

// renew makes a folder with both files, and points to it in one step.
func renew(root, serial string) {
	folder := filepath.Join(root, "serial-"+serial)
	check(os.MkdirAll(folder, 0o700))
	for _, name := range []string{"cert.pem", "key.pem"} {
		check(os.WriteFile(filepath.Join(folder, name), []byte(serial+"\n"), 0o600))
	}
	link := fmt.Sprintf("%s/live.%d~", root, os.Getpid())
	check(os.Symlink(filepath.Base(folder), link))
	check(os.Rename(link, filepath.Join(root, "live")))
}

// live says where the current pair lies, once for both files.
func live(root string) string {
	target, err := os.Readlink(filepath.Join(root, "live"))
	if errors.Is(err, fs.ErrNotExist) {
		end(1, "absent")
	}
	check(err)
	return filepath.Join(root, target)
}

func show(root string) {
	folder := live(root)
	cert, err := os.ReadFile(filepath.Join(folder, "cert.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		end(1, "absent")
	}
	check(err)
	key, err := os.ReadFile(filepath.Join(folder, "key.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		end(3, "corrupt: no key")
	}
	check(err)
	if string(cert) != string(key) {
		end(3, "corrupt: the certificate is", strings.TrimSpace(string(cert)), "and the key", strings.TrimSpace(string(key)))
	}
	end(0, strings.TrimSpace(string(cert)))
}

func main() {
	root := os.Getenv("TOOL_DIR")
	if root == "" {
		root = "."
	}
	switch {
	case len(os.Args) == 3 && os.Args[1] == "renew":
		renew(root, os.Args[2])
		end(0, os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "show":
		show(root)
	}
	os.Exit(2)
}
