"""What a modem is asked: test and read commands, and what identifies it. None costs or changes anything."""

from __future__ import annotations

IDENTITY = ("I", "+CGMI", "+CGMM", "+CGMR", "+CGSN")
"""Manufacturer, model, revision, IMEI (ITU-T V.250 6.1, 3GPP TS 27.007 5.1 to 5.4)."""

STANDARD = (
    "+GCAP", "+CGSN=?", "+CIMI", "+CNUM", "&V",
    "+CMEE=?", "+CSCS=?", "+IPR=?", "+IPR?", "+IFC=?", "+IFC?", "+ICF=?",
    "+CFUN=?", "+CFUN?", "+CPIN=?", "+CPIN?", "+CPAS", "+CBC", "+CCLK=?", "+CCLK?", "+CTZU=?", "+CTZU?", "+CTZR=?",
    "+CTZR?", "+CLCK=?", "+CRSM=?", "+CSIM=?", "+WS46=?", "+WS46?", "+CPSMS=?", "+CPSMS?", "+CEDRXS=?", "+CEDRXS?",
    "+CREG=?", "+CREG?", "+CGREG=?", "+CGREG?", "+CEREG=?", "+CEREG?", "+COPS?", "+CSQ=?", "+CSQ", "+CESQ=?", "+CESQ",
    "+CEER", "+CGATT=?", "+CGATT?", "+CGDCONT=?", "+CGDCONT?", "+CGACT=?", "+CGACT?", "+CGPADDR=?", "+CGPADDR",
    "+CGCONTRDP=?", "+CGEREP=?", "+CGEREP?", "+CGDATA=?",
    "+CMGF=?", "+CMGF?", "+CNMI=?", "+CNMI?", "+CPMS=?", "+CPMS?", "+CSMS=?", "+CSMS?", "+CSMP=?", "+CSDH=?",
    "+CMGL=?", "+CMGD=?", "+CMGS=?", "+CNMA=?", "+CSCA=?", "+CGSMS=?", "+CGSMS?",
    "+CPBS=?", "+CPBS?", "+CUSD=?", "+CIND=?", "+CIND?", "+CMER=?", "+CLCC=?", "+FCLASS=?",
)  # fmt: skip
"""3GPP TS 27.007 and 27.005. AT+COPS=? is left out: the modem leaves its network while it scans."""

DIALECTS: dict[str, tuple[str, ...]] = {
    "quectel": (
        "+QCCID", "+QSIMSTAT=?", "+QSIMSTAT?", "+QINISTAT", "+QSPN", "+QCSQ", "+QNWINFO", "+QCFG=?", "+QURCCFG?",
        "+QICSGP=?", "+QIACT=?", "+QIACT?", "+QIDEACT=?", "+QIACTEX=?", "+QIOPEN=?", "+QICLOSE=?", "+QISTATE=?",
        "+QISEND=?", "+QISENDEX=?", "+QIRD=?", "+QISWTMD=?", "+QICFG=?", "+QIDNSCFG=?", "+QIDNSGIP=?", "+QPING=?",
        "+QNTP=?", "+QIGETERROR", "+QSSLCFG=?", "+QSSLOPEN=?", "+QSSLSEND=?", "+QSSLRECV=?", "+QGDCNT=?", "+QGDCNT?",
        "+QAUGDCNT=?", "+QAUGDCNT?", "+QLTS=?", "+QLTS", "+QSCLK=?", "+QSCLK?", "+QPOWD=?", "+QFUPL=?", "+QFLST=?",
    ),
    "cip": (
        "+CICCID", "+NETOPEN=?", "+NETOPEN?", "+NETCLOSE=?", "+CIPOPEN=?", "+CIPOPEN?", "+CIPSEND=?", "+CIPCLOSE=?",
        "+CIPRXGET=?", "+CIPRXGET?", "+CIPACK=?", "+CIPCCFG=?", "+CIPCCFG?", "+CIPTIMEOUT=?", "+CIPTIMEOUT?",
        "+CIPMODE=?", "+CIPSENDMODE=?", "+CIPHEAD=?", "+CDNSGIP=?", "+CNTP=?", "+CPING=?", "+CTCPKA=?", "+CSCLK=?",
        "+IPADDR", "+CNMP=?", "+CNMP?",
    ),
    "ca": (
        "+CCID", "+CNACT=?", "+CNACT?", "+CNCFG=?", "+CGNAPN", "+CAOPEN=?", "+CAOPEN?", "+CASEND=?", "+CARECV=?",
        "+CACLOSE=?", "+CAACK=?", "+CACID=?", "+CACFG=?", "+CNII=?", "+CDNSGIP=?", "+CLTS=?", "+CLTS?",
        "+CNMP=?", "+CMNB=?",
    ),
    "mip": (
        "+MCCID", "+MIPCALL=?", "+MIPCALL?", "+MIPOPEN=?", "+MIPSEND=?", "+MIPRD=?", "+MIPCLOSE=?", "+MIPMODE=?",
        "+MIPCFG=?", "+MIPSTATE=?", "+MIPTKA=?", "+MDNSGIP=?", "+MDNSCFG=?", "+MLPMCFG=?", "+MREBOOT=?",
    ),
    "cipstart": (
        "+CCID", "+CIPSTART=?", "+CIPSEND=?", "+CIPCLOSE=?", "+CIPSHUT=?", "+CIPMUX=?", "+CIPMUX?", "+CIPQSEND=?",
        "+CIPRXGET=?", "+CIPACK=?", "+CIPSTATUS=?", "+CSTT=?", "+CSTT?", "+CIICR=?", "+CIFSR=?", "+CDNSGIP=?",
    ),
    "usocr": (
        "+CCID", "+USOCR=?", "+USOCO=?", "+USOWR=?", "+USORD=?", "+USOST=?", "+USORF=?", "+USOCL=?", "+USOCTL=?",
        "+UDNSRN=?", "+UPSD=?", "+UPSDA=?", "+UPSND=?", "+UGCNTRD=?", "+UGCNTRD", "+UGCNTSET=?", "+UMNOPROF?",
    ),
    "sequans": (
        "+SQNCCID", "+SQNSD=?", "+SQNSCFG=?", "+SQNSSEND=?", "+SQNSSENDEXT=?", "+SQNSRECV=?", "+SQNSI=?", "+SQNSS?",
        "+SQNSH=?", "+SQNDNSLKUP=?",
    ),
}  # fmt: skip
"""The maker's commands for sockets, counter, time and SIM, by dialect."""

MAKERS = {
    "quectel": ("quectel",),
    "ca": ("sim7070", "sim7080", "sim7090"),
    "cipstart": ("sim7000", "sim800", "air7"),
    "cip": ("simcom", "sim76", "a76"),
    "mip": ("ml30", "cmcc", "china mobile", "onemo"),
    "usocr": ("u-blox", "sara", "lara"),
    "sequans": ("sequans", "gm02"),
}
"""What manufacturer or model of a dialect's modems contains, the more particular first."""

UNKNOWN, WRONG = "+UGNOSUCH", "+CMEE=9"
"""A command that no modem has, and a parameter that none takes: their errors are the maker's."""
