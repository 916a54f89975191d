// Jobs that move from pending to done:  add JOB | finish JOB | status JOB
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func end(code int, words ...any) {
	fmt.Println(words...)
	os.Exit(code)
}

func check(err error) {
	if errors.Is(err, fs.ErrNotExist) {
		end(1, "absent")
	}
	if err != nil {
		end(4, "failed:", err)
	}
}

// status looks where a job begins before it looks where it ends: one that is not there any more has moved.
func status(root, job string) {
	for _, place := range []string{"pending", "done"} {
		if _, err := os.Stat(filepath.Join(root, place, job)); err == nil {
			end(0, place)
		}
	}
	end(1, "absent")
}

func main() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	root, job := os.Getenv("TOOL_DIR"), os.Args[2]
	if root == "" {
		root = "."
	}
	for _, place := range []string{"pending", "done"} {
		check(os.MkdirAll(filepath.Join(root, place), 0o700))
	}
	pending, done := filepath.Join(root, "pending", job), filepath.Join(root, "done", job)
	switch os.Args[1] {
	case "add":
		check(os.WriteFile(pending, []byte(job+"\n"), 0o600))
		end(0, "added")
	case "finish":
		check(os.Rename(pending, done))
		end(0, "finished")
	case "status":
		status(root, job)
	}
	os.Exit(2)
}
