// Command argo-cd is Argo CD as far as it syncs: its application controller and its repo server in one binary, without user interface,
// API server and ApplicationSets, which would take twice as long to build.
//
//	argo-cd controller [FLAG]...
//	argo-cd repo-server [FLAG]...
package main

import (
	"fmt"
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	commands := map[string]func() *cobra.Command{"controller": controller.NewCommand, "repo-server": reposerver.NewCommand}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "argo-cd controller|repo-server [FLAG]...")
		os.Exit(2)
	}
	command := commands[os.Args[1]]()
	command.SetArgs(os.Args[2:])
	if command.Execute() != nil {
		os.Exit(1)
	}
}
