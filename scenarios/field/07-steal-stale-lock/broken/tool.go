// A counter behind a lock file that names its holder; a dead holder's lock is taken over:  inc | get
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
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

// replace writes the text to a file of our own and gives it the name in one step.
func replace(name, text string) {
	own := fmt.Sprintf("%s.%d~", name, os.Getpid())
	check(os.WriteFile(own, []byte(text), 0o600))
	check(os.Rename(own, name))
}

func number() int {
	text, err := os.ReadFile("count")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	check(err)
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		end(3, "corrupt:", err)
	}
	return n
}

// holderIsGone says whether the lock names a process that does not run any more.
func holderIsGone() bool {
	text, err := os.ReadFile("lock")
	if err != nil {
		return false // released meanwhile
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func acquire() {
	own := fmt.Sprintf("lock.%d~", os.Getpid())
	check(os.WriteFile(own, []byte(fmt.Sprintln(os.Getpid())), 0o600))
	defer os.Remove(own)
	for attempt := 0; attempt < 500; attempt++ {
		if os.Link(own, "lock") == nil {
			return
		}
		if holderIsGone() {
			os.Remove("lock") // of whoever holds it by now
			continue
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Remove(own)
	end(4, "locked")
}

func main() {
	if folder := os.Getenv("TOOL_DIR"); folder != "" {
		check(os.Chdir(folder))
	}
	if len(os.Args) != 2 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "inc":
		acquire()
		n := number() + 1
		replace("count", fmt.Sprintln(n))
		check(os.Remove("lock"))
		end(0, n)
	case "get":
		end(0, number())
	}
	os.Exit(2)
}
