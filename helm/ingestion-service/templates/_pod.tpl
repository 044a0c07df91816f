{{/* What every pod of the chart has: Pod Security "restricted", no token, a root that cannot be written. */}}
{{- define "ingestion.podSecurity" -}}
serviceAccountName: {{ include "ingestion.name" . }}
automountServiceAccountToken: false
# Kubernetes would add variables that begin as the service's own.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "ingestion.containerSecurity" -}}
image: {{ include "ingestion.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* postgres.ssl.rootCert → WAL_CDC_POSTGRES_SSL_ROOT_CERT_FILE, which names the mounted file. */}}
{{- define "ingestion.secretVariables" -}}
{{- range $setting, $reference := . }}
- name: WAL_CDC_{{ regexReplaceAll "([a-z])([A-Z])" $setting "${1}_${2}" | replace "." "_" | upper }}_FILE
  value: /run/secrets/wal-cdc/{{ $setting }}
{{- end }}
{{- end }}

{{/* The configuration file, and a file for each secret: a dict of configMap and secrets. */}}
{{- define "ingestion.volumeMounts" -}}
- name: config
  mountPath: /etc/wal-cdc
  readOnly: true
{{- if .secrets }}
- name: secrets
  mountPath: /run/secrets/wal-cdc
  readOnly: true
{{- end }}
{{- end }}

{{- define "ingestion.volumes" -}}
- name: config
  configMap:
    name: {{ .configMap }}
{{- if .secrets }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $setting, $reference := .secrets }}
      - secret:
          name: {{ $reference.name }}
          items:
            - key: {{ $reference.key }}
              path: {{ $setting }}
      {{- end }}
{{- end }}
{{- end }}
