// stub
export interface PathPattern {
  param(target: string, name: string): string | undefined
}
