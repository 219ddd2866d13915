// Names by which scanners and attack tools call themselves unless told otherwise. Each is the default User-Agent of the tool,
// as its own documentation or source gives it. Search engines, monitors and plain HTTP libraries are not here on purpose.

export const knownBad: readonly string[] = [
  // Scanners of weaknesses.
  'sqlmap', // "sqlmap/1.8 (https://sqlmap.org)"
  'nikto', // "Mozilla/5.00 (Nikto/2.5.0)"
  'nuclei', // "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)"
  'wpscan', // "WPScan v3.8 (https://wpscan.com)"
  'acunetix', // "Acunetix-Product", also "acunetix_wvs_security_test"
  'openvas', // "Mozilla/5.0 [en] (X11, U; OpenVAS-VT ...)"
  'nessus', // "Mozilla/4.0 (compatible; Nessus)"
  'w3af', // "w3af.org"
  'arachni/', // "Arachni/v1.6"
  'whatweb', // "WhatWeb/0.5.5"
  'jaeles', // "Jaeles"
  'havij', // "Havij"
  // Guessing of paths.
  'dirbuster', // "DirBuster-1.0-RC1"
  'gobuster', // "gobuster/3.6"
  'feroxbuster', // "feroxbuster/2.10"
  'fuzz faster u fool', // ffuf: "Fuzz Faster U Fool v2.1"
  'wfuzz', // "Wfuzz/3.1"
  // Scanners of ports that speak HTTP.
  'masscan', // "masscan/1.3 (https://github.com/robertdavidgraham/masscan)"
  'nmap scripting engine', // "Mozilla/5.0 (compatible; Nmap Scripting Engine; ...)"
  'zgrab', // "Mozilla/5.0 zgrab/0.x"
]
