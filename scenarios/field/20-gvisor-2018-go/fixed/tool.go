// Containers behind one lock that is held from the check to the save:  create|start|pause|resume|state|delete ID
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Container is what meta.json holds.
type Container struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	root   string // its folder
}

func end(code int, words ...any) {
	fmt.Println(words...)
	os.Exit(code)
}

func check(err error) {
	if err != nil {
		end(4, "failed:", err)
	}
}

// lock locks all containers, by a file beside their folders that is never removed. Ending releases it.
func lock(root string) *os.File {
	file, err := os.OpenFile(filepath.Join(root, "containers.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	check(err)
	check(syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	return file
}

func load(root, id string) *Container {
	c := &Container{root: filepath.Join(root, id)}
	text, err := os.ReadFile(filepath.Join(c.root, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		end(1, "absent")
	}
	check(err)
	if err := json.Unmarshal(text, c); err != nil {
		end(3, "corrupt:", err)
	}
	return c
}

// save replaces the metadata as a whole.
func (c *Container) save() {
	text, err := json.Marshal(c)
	check(err)
	path := filepath.Join(c.root, "meta.json")
	check(os.WriteFile(path+"~", text, 0o640))
	check(os.Rename(path+"~", path))
}

func (c *Container) require(operation string, from ...string) {
	for _, status := range from {
		if status == c.Status {
			return
		}
	}
	end(1, "status: cannot", operation, "container", c.ID, "in state", c.Status)
}

func (c *Container) change(operation, to string, from ...string) {
	c.require(operation, from...)
	c.Status = to
	c.save()
}

func create(root, id string) {
	c := &Container{ID: id, Status: "created", root: filepath.Join(root, id)}
	if _, err := os.Stat(filepath.Join(c.root, "meta.json")); err == nil {
		end(1, "exists")
	}
	check(os.MkdirAll(c.root, 0o711))
	c.save()
}

func main() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	root, operation, id := os.Getenv("TOOL_DIR"), os.Args[1], os.Args[2]
	if root == "" {
		root = "."
	}
	defer lock(root).Close()
	switch operation {
	case "create":
		create(root, id)
		end(0, "created")
	case "start":
		load(root, id).change(operation, "running", "created")
		end(0, "running")
	case "pause":
		load(root, id).change(operation, "paused", "created", "running")
		end(0, "paused")
	case "resume":
		load(root, id).change(operation, "running", "paused")
		end(0, "running")
	case "state":
		end(0, load(root, id).Status)
	case "delete":
		c := load(root, id)
		c.require(operation, "created")
		check(os.RemoveAll(c.root))
		end(0, "deleted")
	}
	os.Exit(2)
}
