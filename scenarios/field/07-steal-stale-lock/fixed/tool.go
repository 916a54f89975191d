// A counter behind a lock that the kernel releases when its holder ends:  inc | get
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
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

// acquire takes the lock, which the kernel releases when we end, however we end.
func acquire() *os.File {
	lock, err := os.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
	check(err)
	check(syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	return lock
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
		lock := acquire()
		n := number() + 1
		replace("count", fmt.Sprintln(n))
		check(lock.Close())
		end(0, n)
	case "get":
		end(0, number())
	}
	os.Exit(2)
}
