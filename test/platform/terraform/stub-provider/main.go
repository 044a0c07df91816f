// Command stub-provider is a Terraform provider without a cloud behind it. It has the schema of a real provider, as
// provider-schema.ts wrote it to $STUB_SCHEMAS/NAME.json, keeps nothing but Terraform's state, and invents what a cloud
// would compute. So the real terraform can validate, plan, apply and destroy a configuration: wrong names and types of
// arguments, bad references and a wrong order show. What it creates and destroys it appends to $STUB_LOG.
//
// The program answers for the provider that its file name says: terraform-provider-NAME_vVERSION.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

// check ends the program: terraform reports what it printed as the failure of the provider.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "stub provider:", err)
		os.Exit(1)
	}
}

func readJSON(path string, into any) {
	raw, err := os.ReadFile(path)
	check(err)
	check(json.Unmarshal(raw, into))
}

func main() {
	name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-"), "_")
	schemas := os.Getenv("STUB_SCHEMAS")
	p := &provider{logFile: os.Getenv("STUB_LOG")}
	readJSON(filepath.Join(schemas, name+".json"), &p.schema)
	readJSON(filepath.Join(schemas, "fixed-values.json"), &p.fixed)
	check(tf6server.Serve("hashicorp/"+name, func() tfprotov6.ProviderServer { return p }))
}
