// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	nomad "github.com/hashicorp/nomad/api"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

const folder = "../../config/examples"

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCompose_IsValid(t *testing.T) {
	details := types.ConfigDetails{WorkingDir: folder, Environment: types.Mapping{},
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: read(t, "compose.yaml")}}}
	project, err := loader.LoadWithContext(t.Context(), details, loader.WithProfiles([]string{"tools"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"upgrade-controller", "dashboard", "upgradectl"} {
		s, err := project.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Image == "" || !s.ReadOnly || len(s.CapDrop) != 1 || s.Environment["CONSUL_HTTP_ADDR"] == nil {
			t.Errorf("%s: image %q, read only %t, without %v, environment %v", name, s.Image, s.ReadOnly, s.CapDrop, s.Environment)
		}
	}
	for name, s := range project.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
	}
}

// object is a type of Kubernetes.
type object interface{ GetName() string }

// objects decodes the manifest, and fails for unknown fields.
func objects(t *testing.T, name string) (all []object) {
	t.Helper()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(read(t, name))))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		var kind metav1.TypeMeta
		if err == nil {
			err = yaml.Unmarshal(document, &kind)
		}
		if err != nil {
			t.Fatal(err)
		}
		into := map[string]object{
			"v1 ConfigMap": &corev1.ConfigMap{}, "v1 ServiceAccount": &corev1.ServiceAccount{}, "apps/v1 Deployment": &appsv1.Deployment{},
			"policy/v1 PodDisruptionBudget": &policyv1.PodDisruptionBudget{}, "networking.k8s.io/v1 NetworkPolicy": &networkingv1.NetworkPolicy{},
		}[kind.APIVersion+" "+kind.Kind]
		if into == nil {
			t.Fatalf("%s %s is not known to this test", kind.APIVersion, kind.Kind)
		}
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Fatalf("%s: %v", kind.Kind, err)
		}
		all = append(all, into)
	}
}

// TestKubernetes_IsValid also checks that the pods are allowed in a namespace with the restricted profile of Pod Security.
func TestKubernetes_IsValid(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	var pods []labels.Set
	ports := map[string]bool{}
	for _, o := range objects(t, "kubernetes.yaml") {
		d, ok := o.(*appsv1.Deployment)
		if !ok {
			continue
		}
		pod := &d.Spec.Template
		pods = append(pods, pod.Labels)
		selects(t, d.Name, d.Spec.Selector, labels.Set(pod.Labels))
		for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", d.Name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		for _, port := range pod.Spec.Containers[0].Ports {
			ports[port.Name] = true
		}
		for _, probe := range []*corev1.Probe{pod.Spec.Containers[0].LivenessProbe, pod.Spec.Containers[0].ReadinessProbe} {
			if probe != nil && !ports[probe.HTTPGet.Port.String()] {
				t.Errorf("%s: no port %s", d.Name, probe.HTTPGet.Port.String())
			}
		}
	}
	if len(pods) != 2 {
		t.Fatalf("%d deployments", len(pods))
	}
	for _, o := range objects(t, "kubernetes.yaml") {
		switch o := o.(type) {
		case *policyv1.PodDisruptionBudget:
			selects(t, o.Name, o.Spec.Selector, pods[0])
		case *networkingv1.NetworkPolicy:
			selects(t, o.Name, &o.Spec.PodSelector, pods...)
			if port := o.Spec.Ingress[0].Ports[0].Port.String(); !ports[port] {
				t.Errorf("%s: no port %s", o.Name, port)
			}
		}
	}
}

func selects(t *testing.T, name string, s *metav1.LabelSelector, pods ...labels.Set) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if !selector.Matches(pod) {
			t.Errorf("%s does not select %v", name, pod)
		}
	}
}

// TestNomad_HasKnownFieldsOnly compares the names in the job with those that the API of Nomad has for job files.
func TestNomad_HasKnownFieldsOnly(t *testing.T) {
	file, diagnostics := hclparse.NewParser().ParseHCL(read(t, "upgrade-controller.nomad.hcl"), "upgrade-controller.nomad.hcl")
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok || len(body.Blocks) != 1 || body.Blocks[0].Type != "job" {
		t.Fatal("not a job")
	}
	for _, problem := range unknown(body.Blocks[0].Body, reflect.TypeFor[nomad.Job](), "job") {
		t.Error(problem)
	}
}

// unknown returns the attributes and blocks of a body that a type has no field for.
func unknown(body *hclsyntax.Body, t reflect.Type, path string) (problems []string) {
	fields := map[string]reflect.Type{}
	for field := range fieldsOf(t) {
		name, _, _ := strings.Cut(field.Tag.Get("hcl"), ",")
		fields[name] = field.Type
	}
	for name := range body.Attributes {
		if fields[name] == nil {
			problems = append(problems, path+" has no attribute "+name)
		}
	}
	for _, block := range body.Blocks {
		of, at := fields[block.Type], path+"."+block.Type
		if of == nil {
			problems = append(problems, path+" has no block "+block.Type)
			continue
		}
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct { // a map has any names, as the configuration of a driver
			problems = append(problems, unknown(block.Body, of, at)...)
		}
	}
	return problems
}

// fieldsOf returns the fields of a struct that job files have.
func fieldsOf(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("hcl") != "" && !yield(f) {
				return
			}
		}
	}
}
