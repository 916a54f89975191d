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

// renew replaces each file in one step, but not the two together.
func renew(root, serial string) {
	for _, name := range []string{"cert.pem", "key.pem"} {
		path := filepath.Join(root, name)
		own := fmt.Sprintf("%s.%d~", path, os.Getpid())
		check(os.WriteFile(own, []byte(serial+"\n"), 0o600))
		check(os.Rename(own, path))
	}
}

// live says where the current pair lies.
func live(root string) string {
	return root
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
